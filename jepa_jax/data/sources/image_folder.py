"""A folder of image files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from jepa_jax.data import kinds
from jepa_jax.data.decoding import MAX_PIXELS, decode
from jepa_jax.data.left_out import LeftOut, Tally
from jepa_jax.data.listing import Listing
from jepa_jax.data.readable import file_stamp, open_regular
from jepa_jax.data.record import (
    Record,
    UnreadableImage,
    broken,
    original_name,
    writable_id,
)
from jepa_jax.data.stored_files import StoredFile
from jepa_jax.object_stores import Address, Place

IMAGE = "image"
_NOT_READ = "beside images: name them to read them"


@dataclass(frozen=True)
class Found:
    """One entry of a folder: `id` is its path below the folder, `error` what kept it from more.

    `kind`: "image", a kind of shard (`kinds.SHARDS`), "dataset" (a folder saved by `datasets`), or
    "" for what is none; then `word` and `reason` say what it is instead. `stored`: of a file on an
    object store.
    """

    id: str
    path: str
    kind: str = ""
    error: OSError | None = None
    word: str = ""
    reason: str = ""
    stored: StoredFile | None = None


@dataclass(frozen=True)
class Survey:
    """What lies in a folder and below: `images`, how many; `endings`, their extensions as written;
    `example`, the first one; `shards`, the paths below the folder by kind; `others`, the rest.
    `listing`: the images themselves, with size and stamp where a store says these; `errors`: what
    kept some of them from being more than a name."""

    images: int
    endings: tuple[str, ...]
    example: str
    shards: dict[str, tuple[str, ...]]
    others: tuple[LeftOut, ...]
    listing: Listing = field(repr=False, compare=False)
    errors: dict[str, OSError] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Folder:
    """The image files under `path`, depth first, in order of their names.

    An image is what Pillow can decode (`jepa_jax.data.kinds.is_image`): by its extension, or by its
    first bytes where that says nothing. The id is the path below the folder, with '/'. Hidden files
    and folders (a leading dot) and other files are left out: `left_out` counts them. Links are
    followed, but never into a folder that contains them. What is no file (a named pipe), a link
    that leads nowhere and a subfolder that cannot be listed are records whose `load()` raises.
    Memory: one listing for each level of depth.

    On an object store ('s3://bucket/photos') an image is told by its name alone: what has no known
    extension is left out, since each look would be a request.

    >>> from importlib.resources import files
    >>> from jepa_jax.data import Folder
    >>> samples = Folder(files("jepa_jax") / "assets" / "samples")
    >>> samples.count(), next(iter(samples)).id
    (41, 'broken.png')
    """

    path: Place
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"folder {self.path}"

    def __iter__(self) -> Iterator[Record]:
        surveyed = self.__dict__.get("survey")  # As it was counted, and not listed again.
        images = walk(self.path) if surveyed is None else self._images(surveyed)
        for found in images:
            if found.kind == IMAGE:
                yield self._record(found)

    def record(self, id: str) -> Record | None:
        """The record of this id, without a listing; None where there is no such image in the
        folder: an id that leads out of it, or to what is hidden, is none."""
        name = original_name(id)
        hidden = any(part[:1] in ("", ".") for part in name.split("/"))
        if hidden or "\0" in name or not _is_written(name, id):
            return None
        if isinstance(self.path, Address):
            if not kinds.has_image_extension(name):
                return None
            try:
                stored = StoredFile.at(self.path / name)
            except FileNotFoundError:
                return None
            return self._record(Found(name, str(stored), IMAGE, stored=stored))
        path = os.path.join(self.path, name)
        return self._record(Found(name, path)) if kind_of_file(path) == IMAGE else None

    def _record(self, found: Found) -> Record:
        id, source = writable_id(found.id), writable_id(found.path)
        if found.error is not None:
            return broken(id, source, found.error)
        load = partial(decode, found.stored or found.path, max_pixels=self.max_pixels)
        stamp = partial(file_stamp, found.path) if found.stored is None else found.stored.mark
        return Record(id, source, load, stamp)

    def _images(self, survey: Survey) -> Iterator[Found]:
        for id, size, stamp in survey.listing:
            if isinstance(self.path, Address):
                stored = StoredFile(self.path / id, int(size), stamp or None)
                yield Found(id, str(stored), IMAGE, stored=stored)
            else:
                path = os.path.join(self.path, id.rstrip("/"))  # A folder's, that cannot be listed.
                yield Found(id, path, IMAGE, survey.errors.get(id))

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process lists for itself.
        return {name: value for name, value in self.__dict__.items() if name != "survey"}

    @cached_property
    def survey(self) -> Survey:
        """What lies there, of one listing of every subfolder when it is first asked for."""
        images, example, tally = 0, "", Tally()
        endings: Counter[str] = Counter()
        shards: dict[str, list[str]] = {}
        listing, errors = Listing(3), dict[str, OSError]()
        for found in walk(self.path):
            if found.kind == IMAGE:
                stored = found.stored
                of_store = ("", "") if stored is None else (str(stored.size), stored.stamp or "")
                listing.add((found.id, *of_store))
                if found.error is not None:
                    errors[found.id] = found.error
                images, example = images + 1, example or found.id
                endings[os.path.splitext(found.id)[1]] += 1
            elif found.kind:
                shards.setdefault(found.kind, []).append(found.id)
            else:
                tally.add(found.word, writable_id(found.id), found.reason)
        return Survey(
            images,
            tuple(sorted(endings)),
            example,
            {kind: tuple(names) for kind, names in shards.items()},
            tally.entries(),
            listing,
            errors,
        )

    def count(self) -> int:
        """The number of records, as of the `survey`."""
        return self.survey.images

    def left_out(self) -> tuple[LeftOut, ...]:
        """Files that are no images, by kind, as of the `survey`."""
        tally = Tally()
        for kind, names in self.survey.shards.items():
            tally.add(kinds.SHARD_NAMES[kind], writable_id(names[0]), _NOT_READ, len(names))
        return tally.entries() + self.survey.others

    def beside_dataset(self) -> tuple[LeftOut, ...]:
        """Images and shards in a folder that holds a data set: what that does not read."""
        images, shards = self.survey.images, self.survey.shards
        tally, reason = Tally(), "beside the data set that is read: name them to read them"
        if images:
            tally.add("images", writable_id(self.survey.example), reason, images)
        for kind in kinds.SHARDS:
            if shards.get(kind):
                names = shards[kind]
                tally.add(kinds.SHARD_NAMES[kind], writable_id(names[0]), reason, len(names))
        return tally.entries()


def _is_written(name: str, id: str) -> bool:
    """Whether this is how the name of a file is written: what no file has, is not."""
    try:
        return writable_id(name) == id
    except UnicodeEncodeError:
        return False


def walk(folder: str | Place) -> Iterator[Found]:
    """Every file in a folder and below, depth first, in order of the names; hidden ones as one.

    Raises `OSError` where the folder itself cannot be listed.
    """
    return _walk_store(folder, "") if isinstance(folder, Address) else _walk(folder)


def _walk_store(folder: Address, below: str) -> Iterator[Found]:
    entries = folder.entries()
    last = lambda entry: entry["name"].rstrip("/").rpartition("/")[2]
    named = sorted(((last(entry), entry) for entry in entries), key=lambda pair: pair[0])
    del entries
    for name, entry in named:
        id, path = below + name, folder / name
        if name[:1] == ".":
            yield Found(id, str(path), word="hidden")
        elif entry["type"] == "directory":
            yield from _walk_store(path, f"{id}/")
        else:
            yield _classified_by_name(name, id, StoredFile.of_entry(path, entry))


def _classified_by_name(name: str, id: str, file: StoredFile) -> Found:
    kind = IMAGE if kinds.has_image_extension(name) else kinds.shard_kind(name)
    if kind:
        return Found(id, str(file), kind, stored=file)
    word = kinds.extension(name) or "without an extension"
    return Found(id, str(file), word=word, reason=kinds.what_is_needed(name), stored=file)


def _walk(folder: str | Path) -> Iterator[Found]:
    listing, here = _listed(folder)
    stack = [(iter(listing), "", here)]
    parents = [here]  # The folders that are open, from the top.
    while stack:
        entries, below, _ = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
            parents.pop()
            continue
        id = below + entry.name
        if entry.name[0] == ".":
            yield Found(id, entry.path, word="hidden")
            continue
        try:
            is_folder = entry.is_dir()
        except OSError as error:  # A link to itself, through a file, into what may not be entered.
            yield Found(id, entry.path, IMAGE, error)
            continue
        if not is_folder:
            yield _classified(entry, id)
            continue
        try:
            listing, here = _listed(entry.path)
        except OSError as error:
            yield Found(f"{id}/", entry.path, IMAGE, error)
            continue
        if here not in parents:
            stack.append((iter(listing), f"{id}/", here))
            parents.append(here)


def _listed(folder: str | Path) -> tuple[list[os.DirEntry[str]], tuple[int, int]]:
    status = os.stat(folder)
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    return entries, (status.st_dev, status.st_ino)


def _classified(entry: os.DirEntry[str], id: str) -> Found:
    """What a file is. Whatever is named like an image is one: a pipe is a row that says so."""
    name, path = entry.name, entry.path
    if kinds.has_image_extension(name):
        return Found(id, path, IMAGE)
    ending = kinds.extension(name) or "without an extension"
    if not entry.is_file():
        nowhere = entry.is_symlink() and not os.path.exists(path)
        return Found(id, path, word="links that lead nowhere" if nowhere else "not files")
    if name in ("dataset_dict.json", "state.json") and is_dataset(os.path.dirname(path)):
        return Found(os.path.dirname(id), os.path.dirname(path), "dataset")
    kind = kinds.shard_kind(name)
    if kind:
        return Found(id, path, kind)
    try:
        if kinds.is_image(name, partial(_head, path)):
            return Found(id, path, IMAGE)
    except (OSError, UnreadableImage) as error:
        return Found(id, path, word=ending, reason=f"not looked into ({type(error).__name__})")
    return Found(id, path, word=ending, reason=kinds.what_is_needed(name))


def is_dataset(folder: str | Path) -> bool:
    """Whether `datasets` has saved a data set in this folder."""
    has = lambda name: os.path.isfile(os.path.join(folder, name))
    return has("dataset_dict.json") or (has("state.json") and has("dataset_info.json"))


def kind_of_file(path: str | Place) -> str:
    """ "image", a kind of shard, or "" for another file: by its name, or its first bytes."""
    kind = kinds.shard_kind(str(path))
    if kind:
        return kind
    try:
        return IMAGE if kinds.is_image(str(path), partial(_head, path)) else ""
    except (OSError, UnreadableImage):
        return ""


def _head(path: str | Place) -> bytes:
    with open_regular(path) as file:
        return file.read(kinds.HEAD)
