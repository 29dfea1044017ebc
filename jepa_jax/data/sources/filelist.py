"""Image files named one by one: in Python, or in a text file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jepa_jax.data.decoding import MAX_PIXELS, decode
from jepa_jax.data.record import Record, writable_id


@dataclass(frozen=True)
class FileList:
    """Image files in the order given; the id is the path as written, and no path comes twice.

    Relative paths are below `root`. A file that is missing is a record whose `load()` raises.
    Raises `ValueError` for an empty list and for a path given twice.

    >>> from jepa_jax.data import FileList
    >>> [record.id for record in FileList(("b.png", "a.png"))]
    ['b.png', 'a.png']
    """

    paths: tuple[str, ...]
    root: Path = Path()
    max_pixels: int | None = MAX_PIXELS

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
            yield _record(path, self.root, self.max_pixels)

    def count(self) -> int:
        """The number of paths."""
        return len(self.paths)


@dataclass(frozen=True)
class ListFile:
    """The image files named in a UTF-8 text file, one path a line, below the text file's folder.

    Blank lines and lines beginning with '#' are skipped. The id is the line as written, less
    surrounding blanks. A line written twice gives the same id twice: no set of all lines is kept.

    >>> import tempfile
    >>> from jepa_jax.data import ListFile
    >>> path = Path(tempfile.mkdtemp()) / "chosen.txt"
    >>> _ = path.write_text("# the first two\\nb.png\\na.png\\n")
    >>> [record.id for record in ListFile(path)]
    ['b.png', 'a.png']
    """

    path: Path
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"list {self.path}"

    def __iter__(self) -> Iterator[Record]:
        for line in self._lines():
            yield _record(line, self.path.parent, self.max_pixels)

    def count(self) -> int:
        """The number of paths; reads the text file."""
        return sum(1 for _ in self._lines())

    def _lines(self) -> Iterator[str]:
        # utf-8-sig: Windows editors begin a file with a byte order mark.
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for line in file:
                line = line.strip()
                if line and not line.startswith("#"):
                    yield line


def _record(written: str, root: Path, max_pixels: int | None) -> Record:
    path = os.path.join(root, os.path.expanduser(written))
    return Record(
        writable_id(written), writable_id(path), partial(decode, path, max_pixels=max_pixels)
    )
