"""Images stored as arrays in a NumPy .npz file."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from jepa_jax.data.decoding import MAX_PIXELS
from jepa_jax.data.left_out import LeftOut, Tally
from jepa_jax.data.pixels import image_from_array
from jepa_jax.data.readable import open_regular, stamp_of
from jepa_jax.data.record import Record, broken, is_storage_error, writable_id


@dataclass(frozen=True)
class _Entry:
    """One array of the file: its key and header, and, if it is not compressed, where it lies."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int | None

    def images(self) -> int:
        # (N, H, W, C), (N, C, H, W) or (N, H, W); (H, W, C) is one image.
        if self.dtype.kind not in "buif":
            return 0
        if len(self.shape) == 3:
            return 1 if _is_one_image(self.shape) else self.shape[0]
        return self.shape[0] if len(self.shape) == 4 else 0


@dataclass(frozen=True)
class Npz:
    """The images of the arrays of an .npz file, in the file's order.

    Every numeric array of shape (N, H, W), (N, H, W, C) or (N, C, H, W) is N images; one of shape
    (H, W, 1 | 3 | 4) is one; others (labels) are left out. The id is '<array key>/<index>';
    `label` comes before it, with '/'. See `image_from_array` for the values. `load()` reads
    its own image from a file written by `np.savez`; from `np.savez_compressed`, which cannot be
    entered in the middle, the record holds the image's array.

    A file that is no .npz or has no array of images is one record, '(the file)', whose `load()`
    raises; `check` raises `ValueError` for it.

    >>> import tempfile
    >>> from jepa_jax.data import Npz
    >>> path = Path(tempfile.mkdtemp()) / "digits.npz"
    >>> np.savez(path, images=np.zeros((2, 8, 8), np.uint8), labels=np.array([3, 7]))
    >>> [record.id for record in Npz(path)], next(iter(Npz(path))).load().size
    (['images/0', 'images/1'], (8, 8))
    """

    path: Path
    label: str = ""
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"arrays {self.path}"

    def __iter__(self) -> Iterator[Record]:
        prefix = writable_id(f"{self.label}/" if self.label else "")
        stamp = stamp_of(self.path)
        try:
            entries = self._entries()
        except (OSError, ValueError) as error:
            yield broken(f"{prefix}(the file)", self.name, _loss(f"{error}", error))
            return
        for entry in entries:
            key = f"{prefix}{writable_id(entry.key)}"
            index = 0
            try:
                for load in _loads(self.path, entry, self.max_pixels):
                    yield Record(f"{key}/{index}", self.name, load, stamp)
                    index += 1
            except (OSError, EOFError, zlib.error, zipfile.BadZipFile, ValueError) as error:
                message = f"{self.path}, array {entry.key!r}: {error}; what follows is lost"
                yield broken(f"{key}/(rest of the array)", self.name, _loss(message, error))

    def count(self) -> int:
        """The number of images, from the arrays' headers; 1 if they cannot be read: a record."""
        try:
            return sum(entry.images() for entry in self._entries())
        except (OSError, ValueError):
            return 1

    def check(self) -> None:
        """Raise `ValueError` if the file cannot be read or has no array of images."""
        self._entries()

    def left_out(self) -> tuple[LeftOut, ...]:
        """Arrays that are none of images; nothing where the file cannot be read."""
        tally = Tally()
        try:
            for entry in self._arrays():
                if not entry.images():
                    tally.add("arrays", f"{entry.key} {entry.dtype} {entry.shape}")
        except (OSError, ValueError):
            return ()
        return tally.entries()

    def _entries(self) -> list[_Entry]:
        entries = self._arrays()
        images = [entry for entry in entries if entry.images()]
        if not images:
            found = ", ".join(f"{e.key!r} {e.dtype} {e.shape}" for e in entries) or "no array"
            raise ValueError(
                f"{self.path} has no array of images: it holds {found}; "
                "expected numbers of shape (N, H, W), (N, H, W, C), (N, C, H, W) or (H, W, C)"
            )
        return images

    def _arrays(self) -> list[_Entry]:
        try:
            with open_regular(self.path) as file, zipfile.ZipFile(file) as archive:
                infos = [i for i in archive.infolist() if i.filename.endswith(".npy")]
                return [_entry(archive, info, self.path) for info in infos]
        except (zipfile.BadZipFile, ValueError, EOFError, zlib.error, struct.error) as error:
            raise ValueError(f"{self.path} is not a readable .npz file: {error}") from error


def _loss(message: str, error: Exception) -> str | Exception:
    """What a lost part raises: the storage's own error, or what is wrong with the file."""
    return error if is_storage_error(error) else message


def _is_one_image(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[-1] in (1, 3, 4)


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> _Entry:
    with archive.open(info) as array:
        shape, fortran, dtype = _header(array)
        header_size = array.tell()
    offset = None
    if info.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as file:
            file.seek(info.header_offset + 26)
            name_size, extra_size = struct.unpack("<HH", file.read(4))
        offset = info.header_offset + 30 + name_size + extra_size + header_size
    return _Entry(info.filename.removesuffix(".npy"), shape, dtype, fortran, offset)


def _header(array: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(array)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(array)
    return np.lib.format.read_array_header_2_0(array)


def _loads(
    path: Path, entry: _Entry, max_pixels: int | None
) -> Iterator[Callable[[], Image.Image]]:
    shape = (1, *entry.shape) if _is_one_image(entry.shape) else entry.shape
    if entry.offset is not None:
        order = "F" if entry.fortran else "C"
        stored = np.memmap(path, entry.dtype, "r", entry.offset, entry.shape, order)
        images = stored[None] if _is_one_image(entry.shape) else stored
        for index in range(shape[0]):
            yield partial(_load, images, index, max_pixels)
    elif entry.fortran:
        with np.load(path) as arrays:
            array = arrays[entry.key].reshape(shape)
        for index in range(shape[0]):
            yield partial(_load, array, index, max_pixels)
    else:
        size = int(np.prod(shape[1:])) * entry.dtype.itemsize
        with zipfile.ZipFile(path) as archive, archive.open(f"{entry.key}.npy") as array:
            _header(array)
            for _ in range(shape[0]):
                data = array.read(size)
                if len(data) < size:
                    raise EOFError("the array ends early")
                one = np.frombuffer(data, entry.dtype).reshape(1, *shape[1:])
                yield partial(_load, one, 0, max_pixels)


def _load(array: np.ndarray, index: int, max_pixels: int | None) -> Image.Image:
    return image_from_array(array[index], max_pixels=max_pixels)
