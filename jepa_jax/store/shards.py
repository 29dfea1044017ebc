"""The rows of one shard, an atomic Parquet file."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jepa_jax.store.files import replace


def read_rows(path: Path) -> list[dict[str, Any]]:
    """A shard's rows; `ValueError` names a file that is not a shard."""
    try:
        return pq.read_table(path).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error


def read_ids(path: Path) -> list[str]:
    """The ids of a shard's rows."""
    try:
        return pq.read_table(path, columns=["id"])["id"].to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error


def count_rows(path: Path) -> int:
    """The number of a shard's rows, from its footer alone."""
    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error


def write_rows(path: Path, rows: list[dict[str, Any]], columns: pa.Schema) -> None:
    """Writes a whole shard, or nothing: readers never see half a file, even after a power cut."""
    table = pa.Table.from_pylist(rows, columns)

    def write(temporary: Path) -> None:
        pq.write_table(table, temporary, compression="zstd")

    replace(path, write)
