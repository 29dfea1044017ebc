"""The rows of one shard: an atomic Parquet file that knows when it is damaged.

Every page has a checksum, which any reader of Parquet can verify; and the footer, which has none,
holds a digest of every column's values, which tells what a flipped bit there did to them.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jepa_jax.error_lines import first_line
from jepa_jax.object_stores import Address, Place
from jepa_jax.store.files import put

_DIGESTS = b"jepa_jax.digests"
# More than a footer of ours has.
_FOOTER = 1 << 15
# Rows from which on threads bring more than they cost.
_MANY = 50_000
# What PyArrow raises on a file that is not as it was written.
_DAMAGE = (
    *(pa.ArrowException, OSError, ValueError, TypeError, KeyError),
    *(MemoryError, OverflowError, RecursionError),
)


def read_table(
    path: Place,
    columns: Sequence[str] | None = None,
    *,
    optional: Sequence[str] = (),
    without: Sequence[str] = (),
) -> pa.Table:
    """The `columns` of a shard (by default all but those in `without`), verified.

    Those of `optional` come after them where the shard has them. Raises `ValueError` that names
    the file and says what to do, where it is damaged, is no shard, or lacks one of the columns.
    """
    with _opened(path) as raw, pq.ParquetFile(raw, page_checksum_verification=True) as file:
        digests = _digests(file.schema_arrow)
        # What was written, where that is known: a column's name may be what is damaged.
        there = list(digests or file.schema_arrow.names)
        names = [name for name in there if name not in without] if columns is None else [*columns]
        names += [name for name in optional if name in there and name not in names]
        table = file.read(names, use_threads=file.metadata.num_rows > _MANY)
        missing = [name for name in names if name not in table.column_names]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}")
        for name in names:
            if name in digests and digests[name] != _digest(table[name]):
                raise ValueError(f"the values of {name!r} are not those that were written")
        return table.select(names).replace_schema_metadata(None)


def column_names(path: Place) -> list[str]:
    """The names of a shard's columns; `ValueError` as `read_table`."""
    with _opened(path, _FOOTER) as raw:
        schema = pq.read_schema(raw)
        return list(_digests(schema) or schema.names)


def read_rows(path: Place) -> list[dict[str, Any]]:
    """A shard's rows; `ValueError` as `read_table`."""
    return read_table(path).to_pylist()


def read_ids(path: Place) -> list[str]:
    """The ids of a shard's rows; `ValueError` as `read_table`."""
    return read_table(path, ["id"])["id"].to_pylist()


def count_rows(path: Place) -> int:
    """The number of a shard's rows, from its footer alone; `ValueError` as `read_table`."""
    with _opened(path, _FOOTER) as raw:
        footer = pq.read_metadata(raw)
        groups = sum(footer.row_group(i).num_rows for i in range(footer.num_row_groups))
        if footer.num_rows != groups:
            raise ValueError(f"it says that it has {footer.num_rows} rows, and {groups}")
        return groups


def write_rows(path: Place, rows: list[dict[str, Any]], columns: pa.Schema) -> None:
    """Writes a whole shard, or nothing: readers never see half a file, even after a power cut."""
    table = pa.Table.from_pylist(rows, columns)
    digests = {name: _digest(table[name]) for name in table.column_names}
    table = table.replace_schema_metadata({_DIGESTS: json.dumps(digests).encode()})
    file = pa.BufferOutputStream()
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)
    put(path, file.getvalue().to_pybytes())


@contextlib.contextmanager
def _opened(path: Place, last: int | None = None) -> Iterator[pa.NativeFile]:
    """A shard, open, its name UTF-8 or not; of an object store in memory, and its `last` bytes are
    enough. Errors on a file that is not as it was written become one that names it and says what to
    do."""
    # Outside: a store that fails is no damage of the file.
    data = _read(path, last) if isinstance(path, Address) else b""
    try:
        local = isinstance(path, Path)
        with pa.OSFile(os.fsencode(path)) if local else pa.BufferReader(data) as file:
            yield file
    except _DAMAGE as error:
        reason = first_line(error) or type(error).__name__
        raise ValueError(
            f"{path} is damaged or no file of scores ({reason}): delete it, and the same "
            "`jepa-jax score` command makes its rows anew"
        ) from error


def _read(path: Address, last: int | None) -> bytes:
    """A file's bytes, its `last` ones where a whole footer is among these."""
    if last is not None:
        size = path.size()
        data = path.read_range(max(0, size - last), size)
        # The footer's length, and "PAR1".
        if len(data) >= 8 and int.from_bytes(data[-8:-4], "little") <= len(data) - 8:
            return data
    return path.read_bytes()


def _digests(schema: pa.Schema) -> dict[str, str]:
    """The digest of every column; none in a file that was written without."""
    found = json.loads((schema.metadata or {}).get(_DIGESTS, b"{}"))
    if not isinstance(found, dict):
        raise ValueError("its digests are not readable")
    return found


def _digest(column: pa.ChunkedArray) -> str:
    """Of a column's type and values, whatever the chunks they lie in."""
    found = hashlib.blake2b(f"{_kind(column.type)} {len(column)}".encode(), digest_size=8)
    for part in _parts(column.combine_chunks()):
        found.update(np.ascontiguousarray(part).view(np.uint8).data)
    return found.hexdigest()


def _kind(type: pa.DataType) -> str:
    """A type's name; Parquet keeps that of a list's elements to itself."""
    return f"list<{_kind(type.value_type)}>" if pa.types.is_list(type) else str(type)


def _parts(array: pa.Array) -> Iterator[np.ndarray]:
    """The arrays of numbers that a column is."""
    whole = array.null_count == 0
    yield np.ones(len(array), bool) if whole else array.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_list(array.type):
        yield _filled(pc.call_function("list_value_length", [array]))
        yield from _parts(array.flatten())
    elif pa.types.is_string(array.type):
        # As they lie in memory: no object a text.
        _, offsets, data = (array if whole else pc.fill_null(array, "")).buffers()
        ends = np.frombuffer(offsets or b"\0" * 4, np.int32)[array.offset :][: len(array) + 1]
        yield np.diff(ends)
        yield np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    else:
        yield _filled(array)


def _filled(array: pa.Array) -> np.ndarray:
    """Numbers or truth values, 0 where there is none."""
    if array.null_count:
        array = pc.fill_null(array, pa.scalar(0).cast(array.type))
    return array.to_numpy(zero_copy_only=False)
