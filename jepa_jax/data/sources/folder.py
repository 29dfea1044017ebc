"""A folder of image files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from jepa_jax.data.decoding import MAX_PIXELS, decode
from jepa_jax.data.kinds import has_image_extension
from jepa_jax.data.record import Record, writable_id


@dataclass(frozen=True)
class Folder:
    """The files under `path` with an image's extension, depth first, in order of their names.

    The id is the path below the folder, with '/'. Hidden files and folders (a leading dot) and
    other files are left out. Links are followed, but never into a folder that contains them.
    A subfolder that cannot be listed is one record whose `load()` raises. Memory: one listing
    for each level of depth.

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
        for id, path, error in _files(self.path, "", ()):
            load = (
                partial(_fail, error)
                if error
                else partial(decode, path, max_pixels=self.max_pixels)
            )
            yield Record(writable_id(id), writable_id(path), load)

    def count(self) -> int:
        """The number of records; costs a listing of every subfolder."""
        return sum(1 for _ in _files(self.path, "", ()))

    def is_empty(self) -> bool:
        """Whether there is no image; stops at the first one."""
        return next(_files(self.path, "", ()), None) is None


def _files(
    folder: str | Path, below: str, parents: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, str, OSError | None]]:
    try:
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in parents:
            return
        with os.scandir(folder) as listing:
            entries = sorted((e for e in listing if e.name[0] != "."), key=lambda e: e.name)
    except OSError as error:
        if not parents:
            raise
        yield below, str(folder), error
        return
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry.path, f"{below}{entry.name}/", (*parents, here))
        elif has_image_extension(entry.name) and (entry.is_file() or entry.is_symlink()):
            # A dangling link is a row too; a pipe or a socket would hang the reader.
            yield below + entry.name, entry.path, None


def _fail(error: OSError) -> NoReturn:
    raise error
