"""Image files named one by one: in Python, or in a text file."""

from __future__ import annotations

import codecs
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from PIL import Image

from jepa_jax.data.decoding import MAX_PIXELS, decode
from jepa_jax.data.left_out import LeftOut, Tally
from jepa_jax.data.readable import file_stamp, open_regular
from jepa_jax.data.record import Record, writable_id
from jepa_jax.object_stores import Address, Place, is_address, place


@dataclass(frozen=True)
class FileList:
    """Image files in the order given; the id is the path as written, and no path comes twice.

    Relative paths are below `root`. A file that is missing is a record whose `load()` raises.
    `skipped`: what the pattern matched that is no file. Raises `ValueError` for an empty list and
    for a path given twice.

    >>> from jepa_jax.data import FileList
    >>> [record.id for record in FileList(("b.png", "a.png"))]
    ['b.png', 'a.png']
    """

    paths: tuple[str, ...]
    root: Path = Path()
    max_pixels: int | None = MAX_PIXELS
    skipped: tuple[LeftOut, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("`paths` must name at least one image file, got an empty list")
        path, times = Counter(self.paths).most_common(1)[0]
        if times > 1:
            raise ValueError(f"`paths` must be unique, since they are the ids; {path!r} is twice")

    @property
    def name(self) -> str:
        return self.paths[0] if len(self.paths) == 1 else f"{len(self.paths)} files"

    def __str__(self) -> str:
        return f"file {self.name}" if len(self.paths) == 1 else self.name

    def __iter__(self) -> Iterator[Record]:
        for path in self.paths:
            there = path if is_address(path) else os.path.join(self.root, _home(path))
            yield _record(path, there, self.max_pixels)

    def count(self) -> int:
        """The number of paths."""
        return len(self.paths)

    def left_out(self) -> tuple[LeftOut, ...]:
        """What was matched beside files."""
        return self.skipped


@dataclass(frozen=True)
class ListFile:
    """The image files named in a UTF-8 text file, one path a line, below the text file's folder.

    Blank lines are skipped, and lines beginning with '#' unless a file has that name. The id is the
    line as written, less surrounding blanks unless they belong to a file's name. A line written
    twice gives the same id twice: no set of all lines is kept.

    >>> import tempfile
    >>> from jepa_jax.data import ListFile
    >>> path = Path(tempfile.mkdtemp()) / "chosen.txt"
    >>> _ = path.write_text("# the first two\\nb.png\\na.png\\n")
    >>> [record.id for record in ListFile(path)]
    ['b.png', 'a.png']
    """

    path: Place
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"list {self.path}"

    def __iter__(self) -> Iterator[Record]:
        # Of a plain path without more ado: there may be millions.
        top = os.path.join(str(self.path.parent), "") if isinstance(self.path, Path) else ""
        for written in self._lines(Tally()):
            is_plain = top and os.name == "posix" and written[0] not in "/~" and ":/" not in written
            path = top + written if is_plain else self._found(written)
            yield _record(written, path, self.max_pixels)

    def count(self) -> int:
        """The number of paths; reads the text file, once."""
        return self._survey[0]

    def left_out(self) -> tuple[LeftOut, ...]:
        """The lines taken for comments; reads the text file, once."""
        return self._survey[1]

    @cached_property
    def _survey(self) -> tuple[int, tuple[LeftOut, ...]]:
        tally = Tally()
        return sum(1 for _ in self._lines(tally)), tally.entries()

    def _lines(self, tally: Tally) -> Iterator[str]:
        """Every path as written."""
        # utf-8-sig: Windows editors begin a file with a byte order mark.
        with open_regular(self.path) as raw:
            for number, data in enumerate(raw):
                if number == 0 and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise ValueError(f"{self.path} is UTF-16 text: save it as UTF-8")
                text = data.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape")
                text = text.rstrip("\r\n")
                if text and text[0] != "#" and text == text.strip() and "\r" not in text:
                    yield text
                    continue
                for line in text.split("\r"):
                    written = self._written(line)
                    if written.startswith("#") and not _exists(self._found(written)):
                        tally.add("comment lines", writable_id(written))
                    elif written:
                        yield written

    def _written(self, line: str) -> str:
        """The line less surrounding blanks, unless a file has these in its name."""
        stripped = line.strip()
        if stripped in ("", line) or _exists(self._found(stripped)):
            return stripped
        return line if _exists(self._found(line)) else stripped

    def _found(self, written: str) -> str:
        if is_address(written):
            return written
        if isinstance(self.path, Address):
            return str(self.path.parent / written)
        return os.path.join(self.path.parent, _home(written))


def _decode_address(path: str, max_pixels: int | None) -> Image.Image:
    return decode(place(path), max_pixels=max_pixels)


def _home(written: str) -> str:
    return os.path.expanduser(written) if written[:1] == "~" else written


def _exists(path: str) -> bool:
    """Whether something is there: a link that leads nowhere, too. A store is not asked."""
    return not is_address(path) and os.path.lexists(path)


def _record(written: str, path: str, max_pixels: int | None) -> Record:
    if is_address(path):
        # Without a stamp: each would be a request, on every rerun.
        load = partial(_decode_address, path, max_pixels)
        return Record(writable_id(written), writable_id(path), load)
    load = partial(decode, path, max_pixels=max_pixels)
    return Record(writable_id(written), writable_id(path), load, partial(file_stamp, path))
