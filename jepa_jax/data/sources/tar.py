"""A tar archive, WebDataset shards included."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from tarfile import TarFile, TarInfo
from typing import IO, cast

from PIL import Image

from jepa_jax.data import kinds
from jepa_jax.data.decoding import MAX_PIXELS, decode
from jepa_jax.data.left_out import LeftOut, Tally
from jepa_jax.data.readable import Readable, open_regular, readable, stamp_of
from jepa_jax.data.record import Record, UnreadableImage, broken, is_storage_error, writable_id
from jepa_jax.data.sources.tar_index import indexed
from jepa_jax.data.sources.tar_links import Links
from jepa_jax.data.sources.tar_members import DAMAGE, content, members, open_tar, refuse_large
from jepa_jax.object_stores import Place

TAR_EXTENSIONS = kinds.SHARDS["tar"]
# So many members are looked at before a run: enough to see what an archive holds.
_LOOKED_AT = 10_000


@dataclass(frozen=True)
class Tar:
    """The images in a tar archive, by their names or first bytes, in the archive's order.

    The id is '<archive name>/<member name>'; `label` replaces the archive's name. Hidden members
    (macOS leaves '._photo.jpg' beside 'photo.jpg') and other files are left out: `left_out` counts
    them. A link to another member is that member's image. An archive in the archive, and a member
    in a format that Pillow cannot decode here (.heic), are records whose `load()` says so.

    Of a plain tar, a record holds where its bytes lie and reads them in `load()`; of a gzipped one,
    which cannot be entered in the middle, it holds the bytes. Where the archive is truncated or
    corrupt, a last record, '<archive name>/(rest of the archive)', raises `UnreadableImage`. A
    member stored twice gives the same id twice. Beside 'a.tar', an index 'a.idx' of the archive as
    it is (`tar_index`) saves reading the headers.

    >>> import tarfile, tempfile
    >>> from importlib.resources import files
    >>> from pathlib import Path
    >>> from jepa_jax.data import Tar
    >>> path = Path(tempfile.mkdtemp()) / "shard-0.tar"
    >>> with tarfile.open(path, "w") as tar:
    ...     tar.add(files("jepa_jax") / "assets" / "samples" / "digit-3-a.png", "000.png")
    >>> [(record.id, record.load().size) for record in Tar(path)]
    [('shard-0.tar/000.png', (28, 28))]
    """

    path: Place
    label: str = ""
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"archive {self.path}"

    def __iter__(self) -> Iterator[Record]:
        label = writable_id(self.label or self.path.name)
        stamp = stamp_of(self.path)
        try:
            seen = readable(self.path)
            raw, file, zipped = open_tar(seen)
            with raw:
                links = Links(seen)
                for tar, member in self._members(file, zipped):
                    record = self._record(seen, file, tar, member, label, links, zipped)
                    if isinstance(record, Record):
                        yield Record(record.id, record.source, record.load, stamp)
        except DAMAGE as error:
            reason = _not_tar(self.path) or str(error) or type(error).__name__
            message = f"{self.path}: {reason}; what follows is lost"
            lost: str | Exception = error if is_storage_error(error) else message
            yield broken(f"{label}/(rest of the archive)", self.name, lost)

    def _members(self, file: IO[bytes], zipped: bool) -> Iterator[tuple[TarFile | None, TarInfo]]:
        """Those of the index beside it, without reading headers, or of these."""
        listed = None if zipped else indexed(self.path, file)
        if listed is None:
            yield from members(file)
        else:
            yield from ((None, member) for member in listed)

    def count(self) -> None:
        """Not known without reading the archive."""
        return None

    def left_out(self) -> tuple[LeftOut, ...]:
        """Members that are no images, by kind, of the first 10,000; reads their headers."""
        tally = Tally()
        # Damage, and an archive that is not there, are rows.
        with contextlib.suppress(*DAMAGE, UnreadableImage):
            seen = readable(self.path)
            links = Links(seen)
            raw, file, zipped = open_tar(seen)
            with raw:
                for number, (tar, member) in enumerate(self._members(file, zipped)):
                    if number == _LOOKED_AT:
                        said = f"members that are not counted, beyond the first {_LOOKED_AT:,}"
                        tally.add("more", writable_id(member.name), said)
                        break
                    # As of a plain archive: what is counted needs no bytes.
                    word = self._record(seen, file, tar, member, "", links, zipped=False)
                    if isinstance(word, str) and word:
                        reason = kinds.what_is_needed(member.name) if word[0] == "." else ""
                        tally.add(word, writable_id(member.name), reason)
        return tally.entries()

    def contents(self) -> str:
        """What the archive holds, in words; reads all of its headers."""
        endings: Counter[str] = Counter()
        raw, file, _ = open_tar(readable(self.path))
        with raw:
            for _, member in members(file):
                if not member.isdir():
                    endings[kinds.extension(member.name) or "without an extension"] += 1
        return ", ".join(f"{n} {ending}" for ending, n in endings.most_common()) or "nothing"

    def _record(
        self,
        seen: Readable,
        file: IO[bytes],
        tar: TarFile | None,
        member: TarInfo,
        label: str,
        links: Links,
        zipped: bool,
    ) -> Record | str:
        """The record of a member; where it is none, what it is instead, '' of a folder."""
        # './a.png', as `tar cf x.tar -C folder .` writes it, is 'a.png'.
        name = member.name.removeprefix("./")
        if member.isdir():
            return ""
        if any(part[0] == "." for part in name.split("/") if part.strip(".")):
            return "hidden"
        word = kinds.extension(name) or "without an extension"
        id, link = f"{label}/{writable_id(name)}", member.issym() or member.islnk()
        target = member.linkname if link else name
        if kinds.is_lost_image(name) or kinds.is_archive(name):
            return broken(id, self.name, f"{name}, in the archive: {_needed(name)}")
        if link or not member.isreg():
            if not (kinds.has_image_extension(name) or kinds.has_image_extension(target)):
                return "links" if link else word
            if not link:
                return broken(id, self.name, f"{name}, in the archive, is not a file")
            place = member.offset if member.islnk() else None
            load = partial(_load_link, links, member.name, target, place, self.max_pixels)
            return Record(id, self.name, load)
        if not kinds.is_image(name, partial(_head, file, tar, member)):
            return word
        if tar is not None and (zipped or member.issparse()):
            try:
                data = content(tar, member)
            except UnreadableImage as error:
                return broken(id, self.name, error)
            return Record(id, self.name, partial(decode, data, max_pixels=self.max_pixels))
        load = partial(_load, seen, member.offset_data, member.size, self.max_pixels)
        return Record(id, self.name, load)


def _head(file: IO[bytes], tar: TarFile | None, member: TarInfo) -> bytes:
    """The first bytes of a member."""
    if tar is not None:
        return cast(IO[bytes], tar.extractfile(member)).read(kinds.HEAD)
    file.seek(member.offset_data)
    return file.read(min(kinds.HEAD, member.size))


def _needed(name: str) -> str:
    return kinds.what_is_needed(name) or "an archive that is not looked into: unpack it"


def _not_tar(path: Place) -> str:
    """What a file is that is no tar from its beginning on, and what would help; "" if unknown."""
    with open_regular(path) as file:
        return kinds.what_begins_so(file.read(kinds.HEAD))


def _load(path: Readable, offset: int, size: int, max_pixels: int | None) -> Image.Image:
    with open_regular(path) as file:
        # A damaged header says any size: no more is asked for than there is.
        there = max(0, file.seek(0, os.SEEK_END) - offset)
        refuse_large(f"a member of {path}", min(size, there))
        file.seek(offset)
        data = file.read(min(size, there))
    if len(data) < size:
        raise UnreadableImage(
            f"truncated archive {path}: the member has {size} bytes, {len(data)} are there"
        )
    return decode(data, max_pixels=max_pixels)


def _load_link(
    links: Links, name: str, target: str, place: int | None, max_pixels: int | None
) -> Image.Image:
    # A hard link is written as from the top of the archive, another one as from its own folder.
    path = target if place is not None else posixpath.join(posixpath.dirname(name), target)
    return decode(links.read(path, place), max_pixels=max_pixels)
