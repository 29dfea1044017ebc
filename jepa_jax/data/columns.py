"""Which column of a table holds the images, which one the ids, and what a cell may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from jepa_jax.data.decoding import decode
from jepa_jax.data.left_out import LeftOut, Tally
from jepa_jax.data.pixels import image_from_array
from jepa_jax.data.record import UnreadableImage
from jepa_jax.data.table_paths import TablePaths

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["struct", "bytes", "array", "path", "list"]
"""What a cell holds: a {bytes, path} pair (Hugging Face's), a file's bytes, pixels, a path, or a
list of one of these."""

IMAGE_COLUMNS = (
    *("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "image_bytes"),
    *("bytes", "pixels"),
)
PATH_COLUMNS = (
    *("image_path", "img_path", "file_path", "filepath", "file_name", "filename", "file", "path"),
)
ID_COLUMNS = ("id", "uid", "key", "image_id", "__key__")
# Bytes of one size, no more than these, are hashes and the like.
_LONGEST_HASH = 64
# No file system has longer names between two slashes.
_LONGEST_PATH = 255
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]{256}")


class Column(NamedTuple):
    """A column, or a part of one: `top`, the table's column; `steps` from its cells inwards, fields
    of a struct or places in a list; `type`, of what is there."""

    top: str
    steps: tuple[str | int, ...]
    type: pa.DataType

    @property
    def read(self) -> str:
        """The path that PyArrow reads: as far as there are only structs."""
        names = [self.top]
        for step in self.steps:
            if isinstance(step, int):
                break
            names.append(step)
        return ".".join(names)

    def of(self, cell: Any) -> Any:
        """What is at the end of the steps in a cell; None where the way ends before."""
        for step in self.steps:
            if cell is None:
                return None
            if isinstance(step, int):
                cell = cell[step] if -len(cell) <= step < len(cell) else None
            else:
                cell = cell.get(step)
        return cell


def find_column(schema: pa.Schema, path: str, where: str) -> Column:
    """The column at a path: 'image', 'meta.uid', 'images.0'.

    Raises `ValueError` that lists the columns where there is none.
    """
    import pyarrow as pa

    names = [name for name in schema.names if path == name or path.startswith(f"{name}.")]
    if not names:
        listed = ", ".join(map(repr, schema.names))
        raise ValueError(f"{where} has no column {path!r}; its columns are {listed}")
    top = max(names, key=len)
    if names.count(top) > 1:
        raise ValueError(
            f"{where} has {names.count(top)} columns named {top!r}: which one is meant is not known"
        )
    kind, steps = _storage(schema.field(top).type), list[str | int]()
    for step in path[len(top) + 1 :].split(".") if path != top else ():
        if pa.types.is_struct(kind) and kind.get_field_index(step) >= 0:
            steps.append(step)
            kind = _storage(kind.field(step).type)
        elif _is_list(kind) and step.lstrip("-").isdigit():
            steps.append(int(step))
            kind = _storage(kind.value_type)
        else:
            raise ValueError(
                f"{where} has no column {path!r}: there is no {step!r} in {kind}; a struct's field "
                "or a place in a list (such as 0) follows a dot"
            )
    return Column(top, tuple(steps), kind)


def pick_image_column(schema: pa.Schema, where: str) -> Column:
    """The column of images: by name, else the only one of its kind, else a column of paths.

    Within structs too, where none is outside of them. Raises `ValueError` listing the columns if
    none will do.
    """
    outside: dict[str, Kind | None] = {field.name: kind_of(field.type) for field in schema}
    candidates = [outside, _inside(schema)]
    for kinds in candidates:
        name = _picked(kinds)
        if name is not None:
            return find_column(schema, name, where)
    named = [field for field in schema if field.name.lower() in IMAGE_COLUMNS + PATH_COLUMNS]
    unfit = "".join(
        f"; {f.name!r} is of {_short(f.type)}, no bytes, pixels or paths" for f in named
    )
    raise ValueError(
        f"{where} has no column of images: its columns are {', '.join(map(repr, schema.names))}; "
        f"expected one named {', '.join(map(repr, IMAGE_COLUMNS + PATH_COLUMNS))}, or a single "
        f"column of bytes; another can be named as the image column{unfit}"
    )


def choose_image_column(schema: pa.Schema, wanted: str | None, where: str) -> Column:
    """The `wanted` column of images, or the one that is found without it.

    Raises `ValueError` listing the columns where it holds no images.
    """
    if wanted is None:
        return pick_image_column(schema, where)
    column = find_column(schema, wanted, where)
    if kind_of(column.type) is None:
        listed = ", ".join(map(repr, schema.names))
        raise ValueError(
            f"`column` must be a column of images of {where}, got {wanted!r} of {column.type}; "
            f"its columns are {listed}"
        )
    return column


def choose_id_column(
    schema: pa.Schema, wanted: str | None, image: Column, where: str
) -> Column | None:
    """The `wanted` column of ids, or the first of `ID_COLUMNS` whose values can be ids, or None.

    The column of the images is none. Raises `ValueError` where the wanted one is not there, or its
    values cannot be ids.
    """
    if wanted is not None:
        column = find_column(schema, wanted, where)
        if not can_be_id(column.type):
            raise ValueError(
                f"the id column {wanted!r} of {where} is of {column.type}; expected text, numbers, "
                "bytes or dates"
            )
        return column
    usable = [f.name for f in schema if can_be_id(f.type) and f.name != image.top]
    usable = [name for name in usable if schema.names.count(name) == 1]
    name = _first_named(usable, ID_COLUMNS)
    return None if name is None else Column(name, (), schema.field(name).type)


def columns_left_out(schema: pa.Schema, image: Column, id: Column | None) -> tuple[LeftOut, ...]:
    """Other columns of images, and a column named like an id whose values are not taken."""
    tally = Tally()
    for field in schema:
        kind = kind_of(field.type)
        if field.name == image.top:
            continue
        if kind in ("struct", "list") or (kind == "bytes" and field.name in IMAGE_COLUMNS):
            tally.add(
                "columns", field.name, "of images too: name it as the image column to read it"
            )
        elif id is None and field.name.lower() in ID_COLUMNS:
            tally.add("columns", field.name, f"named like ids, of {field.type}: rows are numbered")
    return tally.entries()


def kind_of(kind: pa.DataType) -> Kind | None:
    """What a column of this type holds of images, or None."""
    import pyarrow as pa

    kind = _storage(kind)
    if pa.types.is_struct(kind):
        return "struct" if {field.name for field in kind} & {"bytes", "path"} else None
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width <= _LONGEST_HASH:
        return None
    if _is_bytes(kind):
        return "bytes"
    if _is_text(kind):
        return "path"
    if _is_list(kind):
        if kind_of(kind.value_type) in ("bytes", "struct"):
            return "list"
        depth, inner = 0, kind
        while _is_list(inner):
            depth, inner = depth + 1, _storage(inner.value_type)
        is_number = pa.types.is_integer(inner) or pa.types.is_floating(inner)
        return "array" if depth in (2, 3) and is_number else None
    return None


def can_be_id(kind: pa.DataType) -> bool:
    """Whether values of this type name rows: text, numbers, bytes, dates, or one in a list."""
    import pyarrow as pa

    kind = _storage(kind)
    if _is_list(kind):
        return can_be_id(kind.value_type)
    others = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_temporal)
    return _is_text(kind) or _is_bytes(kind) or any(of(kind) for of in others)


def image_in_cell(
    value: Any, paths: TablePaths, max_pixels: int | None, dtype: Any = None
) -> Image.Image:
    """The image in a cell: bytes, a path, {bytes, path}, pixels (of `dtype`), or a list of one.

    Raises `UnreadableImage` for a null, a list of several images, a path that `paths` does not
    allow, and for what `decode` refuses.
    """
    if isinstance(value, Mapping):
        data, path = value.get("bytes"), value.get("path")
        value = path if data is None else data
    if isinstance(value, list) and all(isinstance(v, (bytes, str, Mapping)) for v in value):
        if len(value) != 1:
            raise UnreadableImage(
                f"the cell is a list of {len(value)} images, expected one; a place in it can be "
                "named as the image column, as in 'images.0'"
            )
        return image_in_cell(value[0], paths, max_pixels)
    if value is None:
        raise UnreadableImage("the table has a null in place of the image")
    if isinstance(value, str):
        if value.startswith("data:") or (len(value) > _LONGEST_PATH and _BASE64.match(value)):
            raise UnreadableImage(
                "the cell is an image as text (base64), not a path: make a column of its bytes"
            )
        return paths.decode(value, max_pixels)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return decode(bytes(value), max_pixels=max_pixels)
    return image_from_array(np.asarray(value, dtype), max_pixels=max_pixels)


def pixel_type(kind: pa.DataType) -> np.dtype | None:
    """The type of the numbers in a column of pixels; None for another column."""
    if kind_of(kind) != "array":
        return None
    kind = _storage(kind)
    while _is_list(kind):
        kind = _storage(kind.value_type)
    return np.dtype(kind.to_pandas_dtype())


def python_values(values: pa.Array) -> list[Any]:
    """The values as Python's; of a text that is no UTF-8 the bytes as file names have them."""
    try:
        return values.to_pylist()
    except UnicodeDecodeError:
        return [_python_value(value) for value in values]


def _python_value(value: pa.Scalar) -> Any:
    import pyarrow as pa

    try:
        return value.as_py()
    except UnicodeDecodeError:
        if isinstance(value, pa.DictionaryScalar):
            return _python_value(value.value)
        if isinstance(value, pa.StructScalar):
            return {name: _python_value(inner) for name, inner in value.items()}
        if isinstance(value, pa.ListScalar):
            return [_python_value(inner) for inner in value.values or ()]
        return value.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")  # pyright: ignore


def _short(kind: pa.DataType) -> str:
    """A type's name for a message."""
    text = str(kind)
    return text if len(text) < 40 else f"{text[:36]}..."


def _storage(kind: pa.DataType) -> pa.DataType:
    """The type behind an extension type or a dictionary's indices."""
    import pyarrow as pa

    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind):
            kind = kind.value_type
        else:
            return kind


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    of = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return pa.types.is_fixed_size_binary(kind) or any(is_kind(kind) for is_kind in of)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    of = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(kind) for is_kind in of)


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    of = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    views = (pa.types.is_list_view, pa.types.is_large_list_view)
    return any(is_kind(kind) for is_kind in (*of, *views))


def _inside(schema: pa.Schema) -> dict[str, Kind | None]:
    """The fields of structs that are no images themselves, by their paths."""
    import pyarrow as pa

    found: dict[str, Kind | None] = {}
    todo = [(field.name, field.type) for field in schema]
    while todo:
        path, kind = todo.pop(0)
        kind = _storage(kind)
        if pa.types.is_struct(kind) and kind_of(kind) is None:
            todo += [(f"{path}.{field.name}", field.type) for field in kind]
        elif "." in path:
            found[path] = kind_of(kind)
    return found


def _picked(kinds: Mapping[str, Kind | None]) -> str | None:
    """Of columns by their paths the one that holds the images, if that is clear."""
    names = [name for name, kind in kinds.items() if kind is not None]
    usable = [name for name in names if name.rpartition(".")[2].lower() not in ID_COLUMNS]
    named = _first_named(usable, IMAGE_COLUMNS)
    if named is not None:
        return named
    for kind in ("struct", "bytes", "list", "array"):
        of_kind = [name for name in usable if kinds[name] == kind]
        if len(of_kind) == 1:
            return of_kind[0]
    return _first_named(usable, PATH_COLUMNS)


def _first_named(columns: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    """The first of the wanted names that a column has, at the end of its path."""
    by_name = {column.rpartition(".")[2].lower(): column for column in reversed(list(columns))}
    by_name |= {column.lower(): column for column in reversed(list(columns))}
    return next((by_name[name] for name in wanted if name in by_name), None)
