"""Where the paths in a table's cells may lead."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from jepa_jax.data.decoding import decode
from jepa_jax.data.readable import file_stamp
from jepa_jax.data.record import UnreadableImage
from jepa_jax.object_stores import Address, Place


@dataclass(frozen=True)
class TablePaths:
    """The files that a table's paths may name: those below `root`, its folder, links resolved.

    A table from elsewhere could name any file of this machine, or an address inside its network,
    and a report shows what it names. `outside`: all paths and addresses are followed. `hub`: the
    data set of the Hugging Face hub ('owner/name') whose own addresses are.
    """

    root: Place
    outside: bool = False
    hub: str = ""

    def decode(self, path: str, max_pixels: int | None) -> Image.Image:
        """The image at a path; `UnreadableImage` where it may not be followed."""
        if "://" in path:
            if not self.outside and not self._is_of_hub(path):
                raise UnreadableImage(f"the table names an address, {path!r}: {_HOW}")
            import fsspec  # comes with `datasets`, whose streams name 'zip://a.png::hf://...'

            with fsspec.open(path, "rb") as file:
                return decode(file.read(), max_pixels=max_pixels)  # pyright: ignore
        file = self._file(path)
        if file is None:
            raise UnreadableImage(f"the table names a file outside of its folder, {path!r}: {_HOW}")
        return decode(file, max_pixels=max_pixels)

    def stamp(self, path: str) -> str | None:
        """The stamp of the file at a path; None of an address, and where it is not followed."""
        if "://" in path or isinstance(self.root, Address):
            return None  # Each would be a request.
        file = self._file(path)
        return None if file is None else file_stamp(file)

    def _file(self, path: str) -> str | Address | None:
        """What a path without a scheme names; None where that is not to be followed."""
        if isinstance(self.root, Address):
            scheme, _, top = self.root.url.partition("://")
            name = posixpath.normpath(posixpath.join("/" + top, path)).lstrip("/")
            below = name.startswith(f"{top}/")
            return Address(f"{scheme}://{name}") if self.outside or below else None
        file = os.path.join(self.root, path)
        return file if self.outside or _is_below(self.root, file) else None

    def _is_of_hub(self, address: str) -> bool:
        """Whether the innermost of an address's parts is in the data set itself."""
        last = address.rpartition("::")[2]
        starts = (f"hf://datasets/{self.hub}", f"https://huggingface.co/datasets/{self.hub}")
        inside = any(last.startswith((f"{start}/", f"{start}@")) for start in starts)
        return bool(self.hub) and inside and ".." not in last.split("/")


_HOW = "it is followed only with `outside=True` (--allow-outside)"


def _is_below(root: Path, file: str) -> bool:
    top = os.path.realpath(root)
    try:
        return os.path.commonpath([top, os.path.realpath(file)]) == top
    except ValueError:  # Another drive, or no path at all.
        return False
