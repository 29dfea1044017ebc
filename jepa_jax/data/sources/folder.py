"""A folder of image files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from jepa_jax.data import kinds
from jepa_jax.data.decoding import MAX_PIXELS, decode
from jepa_jax.data.files import file_stamp, open_regular
from jepa_jax.data.left_out import LeftOut, Tally
from jepa_jax.data.record import Record, UnreadableImage, broken, writable_id

IMAGE = "image"
_NOT_READ = "beside images: name them to read them"


@dataclass(frozen=True)
class Found:
    """One entry of a folder: `id` is its path below the folder, `error` what kept it from more.

    `kind`: "image", a kind of shard (`kinds.SHARDS`), "dataset" (a folder saved by `datasets`), or
    "" for what is none; then `word` and `reason` say what it is instead.
    """

    id: str
    path: str
    kind: str = ""
    error: OSError | None = None
    word: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Survey:
    """What lies in a folder and below: `images`, how many; `endings`, their extensions as written;
    `example`, the first one; `shards`, the paths below the folder by kind; `others`, the rest."""

    images: int
    endings: tuple[str, ...]
    example: str
    shards: dict[str, tuple[str, ...]]
    others: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Folder:
    """The image files under `path`, depth first, in order of their names.

    An image is what Pillow can decode (`jepa_jax.data.kinds.is_image`): by its extension, or by its
    first bytes where that says nothing. The id is the path below the folder, with '/'. Hidden files
    and folders (a leading dot) and other files are left out: `left_out` counts them. Links are
    followed, but never into a folder that contains them. What is no file (a named pipe), a link
    that leads nowhere and a subfolder that cannot be listed are records whose `load()` raises.
    Memory: one listing for each level of depth.

    >>> from importlib.resources import files
    >>> from jepa_jax.data import Folder
    >>> samples = Folder(files("jepa_jax") / "assets" / "samples")
    >>> samples.count(), next(iter(samples)).id
    (41, 'broken.png')
    """

    path: Path
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"folder {self.path}"

    def __iter__(self) -> Iterator[Record]:
        for found in walk(self.path):
            if found.kind != IMAGE:
                continue
            id, source = writable_id(found.id), writable_id(found.path)
            if found.error is not None:
                yield broken(id, source, found.error)
                continue
            load = partial(decode, found.path, max_pixels=self.max_pixels)
            yield Record(id, source, load, partial(file_stamp, found.path))

    @cached_property
    def survey(self) -> Survey:
        """What lies there, of one listing of every subfolder when it is first asked for."""
        images, example, tally = 0, "", Tally()
        endings: Counter[str] = Counter()
        shards: dict[str, list[str]] = {}
        for found in walk(self.path):
            if found.kind == IMAGE:
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

    def is_empty(self) -> bool:
        """Whether there is no image; stops at the first one."""
        return all(found.kind != IMAGE for found in walk(self.path))


def walk(folder: str | Path) -> Iterator[Found]:
    """Every file in a folder and below, depth first, in order of the names; hidden ones as one.

    Raises `OSError` where the folder itself cannot be listed.
    """
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


def kind_of_file(path: str | Path) -> str:
    """ "image", a kind of shard, or "" for another file: by its name, or its first bytes."""
    kind = kinds.shard_kind(str(path))
    if kind:
        return kind
    try:
        return IMAGE if kinds.is_image(str(path), partial(_head, str(path))) else ""
    except (OSError, UnreadableImage):
        return ""


def _head(path: str) -> bytes:
    with open_regular(path) as file:
        return file.read(kinds.HEAD)
