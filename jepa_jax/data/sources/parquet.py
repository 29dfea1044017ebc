"""A Parquet file with a column of images."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from jepa_jax.data.columns import Kind, RowIds, image_in_cell, pick_id_column, pick_image_column
from jepa_jax.data.decoding import MAX_PIXELS
from jepa_jax.data.record import Record, UnreadableImage, broken, writable_id

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_ROWS = 32  # of images read at a time: two such batches are the memory a row group holds
_BUFFER = 1 << 20  # bytes; without it pyarrow reads a row group's whole column at once


@dataclass(frozen=True)
class Parquet:
    """The rows of a Parquet file, in order.

    The image column is `column`, or found (`columns.pick_image_column`); a cell is a file's
    bytes, a path below the Parquet file's folder, or the {bytes, path} pair of `datasets`. The id
    is '<file name>/<id column or row number>' (`columns.RowIds`); `label` replaces the file's
    name. Iterating reads the id column alone: images are read, in small batches, by `load()`.

    Raises `ValueError` if there is no column of images. A file or a row group that cannot be read
    gives one record, '<file name>/(...)', whose `load()` raises `UnreadableImage`.

    >>> import io, tempfile
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> from PIL import Image
    >>> from jepa_jax.data import Parquet
    >>> png = io.BytesIO()
    >>> Image.new("RGB", (4, 2)).save(png, "PNG")
    >>> path = Path(tempfile.mkdtemp()) / "part-0.parquet"
    >>> pq.write_table(pa.table({"id": ["a"], "image": [png.getvalue()]}), path)
    >>> [(record.id, record.load().size) for record in Parquet(path)]
    [('part-0.parquet/a', (4, 2))]
    """

    path: Path
    label: str = ""
    column: str | None = None
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"table {self.path}"

    def __iter__(self) -> Iterator[Record]:
        import pyarrow as pa

        prefix = writable_id(self.label or self.path.name) + "/"
        try:
            table = _open(self.path)
        except (pa.ArrowException, OSError) as error:
            yield broken(f"{prefix}(the file)", self.name, f"{self.path}: {error}")
            return
        with table:
            column, id_column = self._columns(table.schema_arrow)
            row_id, row = RowIds(prefix), 0
            for group in range(table.num_row_groups):
                images, start = _Images(self.path, group, column), row
                try:
                    for value in _ids(table, group, id_column):
                        load = partial(_load, images, row - start, self.max_pixels)
                        yield Record(row_id(row, value), self.name, load)
                        row += 1
                except (pa.ArrowException, OSError) as error:
                    message = f"{self.path}, row group {group}: {error}"
                    rest = f"{prefix}(rest of row group {group})"
                    yield broken(rest, self.name, message)
                row = start + table.metadata.row_group(group).num_rows

    def count(self) -> int | None:
        """The number of rows, from the file's footer; None if it cannot be read."""
        import pyarrow as pa

        try:
            with _open(self.path) as table:
                return table.metadata.num_rows
        except (pa.ArrowException, OSError):
            return None

    def check(self) -> None:
        """Raise `ValueError` if the file cannot be read or has no column of images."""
        import pyarrow as pa

        try:
            with _open(self.path) as table:
                self._columns(table.schema_arrow)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self.path} is not a readable Parquet file: {error}") from error

    def _columns(self, schema: pa.Schema) -> tuple[str, str | None]:
        import pyarrow as pa

        kinds: dict[str, Kind | None] = {f.name: _kind(f.type) for f in schema}
        if self.column is not None and kinds.get(self.column) is None:
            raise ValueError(
                f"`column` must be a column of images of {self.path}, got {self.column!r}; "
                f"its columns are {', '.join(map(repr, kinds))}"
            )
        texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)
        ids = [f.name for f in schema if any(of(f.type) for of in texts)]
        return self.column or pick_image_column(kinds, self.name), pick_id_column(ids)


class _Images:
    """The image column of one row group, read forwards when first asked for.

    Threads ask for neighbouring rows in any order, so the last two batches are kept; a row before
    them costs reading the row group from its start again.
    """

    def __init__(self, path: Path, group: int, column: str) -> None:
        self._path, self._group, self._column = path, group, column
        self._lock = threading.Lock()
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._kept: list[tuple[int, pa.Array]] = []
        self._next = 0

    def __getitem__(self, row: int) -> Any:
        with self._lock:
            if not self._kept or row < self._kept[0][0]:
                table = _open(self._path)
                self._batches = table.iter_batches(
                    _ROWS, row_groups=[self._group], columns=[self._column], use_threads=False
                )
                self._kept, self._next = [], 0
            while row >= self._next:
                try:
                    values = next(self._batches).column(0)
                except BaseException:
                    self._kept = []
                    raise
                self._kept = [*self._kept[-1:], (self._next, values)]
                self._next += len(values)
            start, values = next(b for b in reversed(self._kept) if b[0] <= row)
        return values[row - start].as_py()


def _load(images: _Images, row: int, max_pixels: int | None) -> Image.Image:
    import pyarrow as pa

    try:
        value = images[row]
    except (pa.ArrowException, OSError, StopIteration) as error:
        where = f"{images._path}, row group {images._group}"
        raise UnreadableImage(f"corrupt Parquet column in {where}: {error}") from error
    return image_in_cell(value, images._path.parent, max_pixels)


def _open(path: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def _ids(table: pq.ParquetFile, group: int, column: str | None) -> Iterator[Any]:
    if column is None:
        first = sum(table.metadata.row_group(g).num_rows for g in range(group))
        yield from range(first, first + table.metadata.row_group(group).num_rows)
        return
    for batch in table.iter_batches(8192, row_groups=[group], columns=[column], use_threads=False):
        yield from batch.column(0).to_pylist()


def _kind(type: pa.DataType) -> Kind | None:
    import pyarrow as pa

    if pa.types.is_struct(type):
        fields = {type.field(i).name for i in range(type.num_fields)}
        return "struct" if fields & {"bytes", "path"} else None
    if pa.types.is_dictionary(type):
        return _kind(type.value_type)
    if pa.types.is_binary(type) or pa.types.is_large_binary(type):
        return "bytes"
    if pa.types.is_string(type) or pa.types.is_large_string(type):
        return "path"
    return None
