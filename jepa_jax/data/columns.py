"""Which column of a table holds the images, which one the ids, and what a cell may be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from jepa_jax.data.decoding import decode
from jepa_jax.data.pixels import image_from_array
from jepa_jax.data.record import UnreadableImage, writable_id

Kind = Literal["struct", "bytes", "array", "path"]
"""What a cell holds: a {bytes, path} pair (Hugging Face's), a file's bytes, pixels, or a path."""

IMAGE_COLUMNS = (
    *("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "image_bytes"),
    *("bytes", "pixels"),
)
PATH_COLUMNS = (
    *("image_path", "img_path", "file_path", "filepath", "file_name", "filename", "file", "path"),
)
ID_COLUMNS = ("id", "uid", "key", "image_id", "__key__")

_WINDOW = 65_536  # rows within which a repeated id is noticed


def pick_image_column(kinds: Mapping[str, Kind | None], where: str) -> str:
    """The column of images: by name, else the only one of its kind, else a column of paths.

    Raises `ValueError` listing the columns if none will do.
    """
    usable = {name: kind for name, kind in kinds.items() if kind is not None}
    named = _first_named(usable, IMAGE_COLUMNS)
    if named is not None:
        return named
    for kind in ("struct", "bytes", "array"):
        of_kind = [name for name in usable if usable[name] == kind]
        if len(of_kind) == 1:
            return of_kind[0]
    paths = _first_named(usable, PATH_COLUMNS)
    if paths is not None:
        return paths
    raise ValueError(
        f"{where} has no column of images: its columns are {', '.join(map(repr, kinds))}; "
        f"expected one named {', '.join(map(repr, IMAGE_COLUMNS + PATH_COLUMNS))}, "
        "or a single column of bytes"
    )


def pick_id_column(columns: Iterable[str]) -> str | None:
    """The first of `ID_COLUMNS` among the columns of strings or integers, or None."""
    return _first_named(columns, ID_COLUMNS)


def image_in_cell(value: Any, root: Path, max_pixels: int | None) -> Image.Image:
    """The image in a cell: bytes, a path (below `root`, or a URL), {bytes, path}, or pixels.

    Raises `UnreadableImage` for a null and for what `decode` refuses.
    """
    if isinstance(value, Mapping):
        data, path = value.get("bytes"), value.get("path")
        value = path if data is None else data
    if value is None:
        raise UnreadableImage("the table has a null in place of the image")
    if isinstance(value, str):
        return _decode_path(value, root, max_pixels)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return decode(bytes(value), max_pixels=max_pixels)
    return image_from_array(np.asarray(value), max_pixels=max_pixels)


class RowIds:
    """The ids of a table's rows, in order: from the id column, or the row's number without one.

    A null, and a value seen before within a window of 65,536 rows, is told apart by '#<row>'; a
    value that comes again further away keeps its id, so that memory stays flat.

    >>> label = RowIds("a.parquet/")
    >>> [label(row, value) for row, value in enumerate(["x", "y", "x", None])]
    ['a.parquet/x', 'a.parquet/y', 'a.parquet/x#2', 'a.parquet/#3']
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._seen: set[str] = set()

    def __call__(self, row: int, value: Any) -> str:
        if row % _WINDOW == 0:
            self._seen.clear()
        text = "" if value is None else str(value)
        if not text or text in self._seen:
            return writable_id(f"{self._prefix}{text}#{row}")
        self._seen.add(text)
        return writable_id(f"{self._prefix}{text}")


def _first_named(columns: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    by_name = {column.lower(): column for column in reversed(list(columns))}
    return next((by_name[name] for name in wanted if name in by_name), None)


def _decode_path(path: str, root: Path, max_pixels: int | None) -> Image.Image:
    if "://" not in path:
        return decode(os.path.join(root, path), max_pixels=max_pixels)
    import fsspec  # comes with `datasets`, whose streams name members as 'zip://a.png::hf://...'

    with fsspec.open(path, "rb") as file:
        return decode(file.read(), max_pixels=max_pixels)  # pyright: ignore
