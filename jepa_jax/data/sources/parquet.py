"""A Parquet file with a column of images."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from jepa_jax.data.columns import (
    Column,
    choose_id_column,
    choose_image_column,
    columns_left_out,
    image_in_cell,
    kind_of,
    pixel_type,
    python_values,
)
from jepa_jax.data.decoding import MAX_PIXELS
from jepa_jax.data.left_out import LeftOut
from jepa_jax.data.readable import Readable, open_regular, readable, stamp_of
from jepa_jax.data.record import Record, UnreadableImage, broken, is_storage_error, writable_id
from jepa_jax.data.row_ids import RowIds
from jepa_jax.data.table_paths import TablePaths
from jepa_jax.object_stores import Place

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_ROWS = 32  # of images read at a time: two such batches are the memory a row group holds
_BUFFER = 1 << 20  # bytes; without it pyarrow reads a row group's whole column at once


@dataclass(frozen=True)
class Parquet:
    """The rows of a Parquet file, in order.

    The image column is `column`, or found (`columns.pick_image_column`); a cell is a file's bytes,
    a path, the {bytes, path} pair of `datasets`, pixels, or a list of one of these. The id is
    '<file name>/<id column or row number>' (`row_ids.RowIds`); the id column is `id_column`, or the
    first named like one. Both may be paths: a struct's field 'meta.uid', a place in a list
    'images.0'. `label` replaces the file's name. Paths lead to files below the Parquet file's
    folder, or anywhere if `outside` (`table_paths.TablePaths`). Iterating reads the id column
    alone: images are read, in small batches, by `load()`.

    A file without a column of images, and a file or a row group that cannot be read, give one
    record, '<file name>/(...)', whose `load()` raises. `check` raises `ValueError` for such a file.

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

    path: Place
    label: str = ""
    column: str | None = None
    max_pixels: int | None = MAX_PIXELS
    id_column: str | None = None
    outside: bool = False

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"table {self.path}"

    def __iter__(self) -> Iterator[Record]:
        import pyarrow as pa

        prefix = writable_id(self.label or self.path.name) + "/"
        stamp = stamp_of(self.path)
        try:
            seen = readable(self.path)
            with _open(seen) as table:
                yield from self._rows(seen, table, prefix, stamp)
        except (pa.ArrowException, OSError, ValueError) as error:
            message = str(error) if self.name in str(error) else f"{self.path}: {error}"
            yield broken(f"{prefix}(the file)", self.name, _loss(message, error))

    def _rows(
        self,
        seen: Readable,
        table: pq.ParquetFile,
        prefix: str,
        stamp: Callable[[], str | None],
    ) -> Iterator[Record]:
        import pyarrow as pa

        column, id_column = self._columns(table.schema_arrow)
        dtype, by_path = pixel_type(column.type), kind_of(column.type) == "path"
        paths = TablePaths(self.path.parent, self.outside)
        row_id, row = RowIds(prefix), 0
        for group in range(table.num_row_groups):
            images, start = _Images(seen, group, column), row
            try:
                for value in _ids(table, group, id_column):
                    place = row - start
                    load = partial(_load, images, place, paths, self.max_pixels, dtype)
                    own = partial(_path_stamp, images, place, paths, stamp) if by_path else stamp
                    yield Record(row_id(row, value), self.name, load, own)
                    row += 1
            except (pa.ArrowException, OSError) as error:
                message = f"{self.path}, row group {group}: {error}"
                rest = f"{prefix}(rest of row group {group})"
                yield broken(rest, self.name, _loss(message, error))
            row = start + table.metadata.row_group(group).num_rows

    def count(self) -> int:
        """The number of rows, from the file's footer; 1 if it cannot be read: its own record."""
        import pyarrow as pa

        try:
            with _open(readable(self.path)) as table:
                self._columns(table.schema_arrow)
                return table.metadata.num_rows
        except (pa.ArrowException, OSError, ValueError):
            return 1

    def check(self) -> None:
        """Raise `ValueError` if the file cannot be read or has no column of images."""
        import pyarrow as pa

        try:
            with _open(readable(self.path)) as table:
                self._columns(table.schema_arrow)
        except pa.ArrowException as error:
            raise ValueError(f"{self.path} is not a readable Parquet file: {error}") from error
        except OSError as error:
            if is_storage_error(error):
                raise
            raise ValueError(f"{self.path} is not a readable Parquet file: {error}") from error

    def holds_images(self) -> bool:
        """Whether there is a column of images, and not one of paths found by its name."""
        import pyarrow as pa

        try:
            with _open(readable(self.path)) as table:
                image, _ = self._columns(table.schema_arrow)
        except (pa.ArrowException, OSError, ValueError):
            return False
        return self.column is not None or kind_of(image.type) != "path"

    def left_out(self) -> tuple[LeftOut, ...]:
        """Other columns that could be of images, or ids; none where the file cannot be read."""
        import pyarrow as pa

        try:
            with _open(readable(self.path)) as table:
                schema = table.schema_arrow
                return columns_left_out(schema, *self._columns(schema))
        except (pa.ArrowException, OSError, ValueError):
            return ()

    def _columns(self, schema: pa.Schema) -> tuple[Column, Column | None]:
        image = choose_image_column(schema, self.column, self.name)
        return image, choose_id_column(schema, self.id_column, image, self.name)


class _Images:
    """The image column of one row group, read forwards when first asked for.

    Threads ask for neighbouring rows in any order, so the last two batches are kept; a row before
    them costs reading the row group from its start again.
    """

    def __init__(self, path: Readable, group: int, column: Column) -> None:
        self._path, self._group, self._column = path, group, column
        self._lock = threading.Lock()
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._kept: list[tuple[int, pa.Array]] = []
        self._next = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process reads for itself.
        return type(self), (self._path, self._group, self._column)

    def __getitem__(self, row: int) -> Any:
        with self._lock:
            if not self._kept or row < self._kept[0][0]:
                table = _open(self._path)
                self._batches = table.iter_batches(
                    _ROWS, row_groups=[self._group], columns=[self._column.read], use_threads=False
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
        return self._column.of(python_values(values.slice(row - start, 1))[0])


def _load(
    images: _Images, row: int, paths: TablePaths, max_pixels: int | None, dtype: Any
) -> Image.Image:
    import pyarrow as pa

    try:
        value = images[row]
    except (pa.ArrowException, OSError, StopIteration) as error:
        if is_storage_error(error):
            raise
        where = f"{images._path}, row group {images._group}"
        raise UnreadableImage(f"corrupt Parquet column in {where}: {error}") from error
    return image_in_cell(value, paths, max_pixels, dtype)


def _path_stamp(
    images: _Images, row: int, paths: TablePaths, of_table: Callable[[], str | None]
) -> str | None:
    """The stamp of the table and of the file that a row's path names."""
    import pyarrow as pa

    try:
        path = images[row]
    except (pa.ArrowException, OSError, StopIteration):
        return None
    table = of_table()
    file = paths.stamp(path) if isinstance(path, str) else None
    return None if table is None or file is None else f"{table} {file}"


def _open(path: Readable) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = open_regular(path)
    if isinstance(path, Path):
        opened.close()  # It was no named pipe, which would be waited for.
        file: pa.NativeFile = pa.OSFile(os.fsencode(path))  # A name need not be UTF-8.
    else:
        file = pa.PythonFile(opened, mode="r")
    return pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)


def _ids(table: pq.ParquetFile, group: int, column: Column | None) -> Iterator[Any]:
    if column is None:
        first = sum(table.metadata.row_group(g).num_rows for g in range(group))
        yield from range(first, first + table.metadata.row_group(group).num_rows)
        return
    names = [column.read]
    for batch in table.iter_batches(8192, row_groups=[group], columns=names, use_threads=False):
        yield from map(column.of, python_values(batch.column(0)))


def _loss(message: str, error: Exception) -> str | Exception:
    """What a lost part raises: the storage's own error, or what is wrong with the file."""
    return error if is_storage_error(error) else message
