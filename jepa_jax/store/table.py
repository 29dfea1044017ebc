"""A folder of scores as one table, its long columns left in the files."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from jepa_jax.object_stores import Place, place
from jepa_jax.store.files import each
from jepa_jax.store.folder import shard_paths
from jepa_jax.store.manifest import read_manifest
from jepa_jax.store.run_status import unfinished
from jepa_jax.store.schema import HASH, LONG, STAMP
from jepa_jax.store.shards import column_names, count_rows, read_table


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """The rows of a scores folder, in their order, and the manifest that they were made under.

    `rows` has every column but the `LONG` ones, the stamps and the perceptual hashes. Memory: about
    200 bytes a row and its names.

    >>> from pathlib import Path
    >>> from jepa_jax.store import ScoreTable
    >>> rows = {"id": ["a", "b"], "status": ["ok", "unreadable"], "jepa_score": [1.5, None]}
    >>> table = ScoreTable(Path("scores"), {"source": "photos/"}, {}, pa.table(rows))
    >>> len(table), table.ids, table.scores
    (2, ['a', 'b'], array([1.5, nan]))
    """

    folder: Place
    settings: dict[str, Any]
    facts: dict[str, Any]
    rows: pa.Table

    def __len__(self) -> int:
        return self.rows.num_rows

    @cached_property
    def unfinished(self) -> str:
        """What the folder lacks because its run is not at its end, in words; "" of a whole one."""
        return unfinished(self.folder, len(self))

    @cached_property
    def ids(self) -> list[str]:
        """Every row's id."""
        return self.rows["id"].to_pylist()

    @cached_property
    def status(self) -> np.ndarray:
        """Every row's status, an array of strings."""
        return np.array(self.rows["status"].to_pylist(), dtype=object)

    @cached_property
    def scores(self) -> np.ndarray:
        """Every row's score, float64; NaN where it has none."""
        values = self.numbers("jepa_score")
        return np.where((self.status == "ok") & np.isfinite(values), values, np.nan)

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers, float64; NaN where a row has none, or the folder no such column."""
        if column not in self.rows.column_names:
            return np.full(len(self), np.nan)
        values = self.rows[column].cast(pa.float64()).to_numpy()
        return np.asarray(values, np.float64)

    def flags(self) -> np.ndarray:
        """Which rows are flagged as unlike the calibration's images."""
        if "flagged" not in self.rows.column_names:
            return np.zeros(len(self), bool)
        return np.asarray(self.rows["flagged"].fill_null(False).to_numpy(), bool)


def read_scores(folder: str | Place) -> ScoreTable:
    """The table of a scores folder.

    Raises `FileNotFoundError` or `ValueError` where `folder` is not a folder of scores, or a shard
    of it is damaged.

    >>> import tempfile, pyarrow.parquet as pq
    >>> from pathlib import Path
    >>> from jepa_jax.store import read_scores
    >>> out = Path(tempfile.mkdtemp())
    >>> manifest = '{"settings": {"source": "photos/"}, "facts": {}}'
    >>> _ = (out / "_manifest.json").write_text(manifest)
    >>> rows = pa.table({"id": ["a", "b"], "status": ["ok", "ok"], "jepa_score": [1.5, 2.5]})
    >>> pq.write_table(rows, out / "scores-000000.parquet")
    >>> read_scores(out).scores
    array([1.5, 2.5])
    """
    folder = place(folder)
    manifest = read_manifest(folder)
    paths = shard_paths(folder)
    if not paths:
        raise ValueError(f"{folder} holds no scores yet: `jepa-jax score` has written no row")
    read = lambda path: read_table(path, without=(*LONG, STAMP, HASH))
    rows = pa.concat_tables(list(each(paths, read)), promote_options="default")
    return ScoreTable(folder, manifest["settings"], manifest["facts"], rows)


def read_stamps(folder: str | Place) -> list[str | None]:
    """What told of every row's image, when it was scored, whether it is still the same file.

    See `jepa_jax.data.Record`. None where it was not known, and in folders made before.

    >>> import tempfile, pyarrow.parquet as pq
    >>> from pathlib import Path
    >>> from jepa_jax.store.table import read_stamps
    >>> out = Path(tempfile.mkdtemp())
    >>> pq.write_table(pa.table({"id": ["a", "b"]}), out / "scores-000000.parquet")
    >>> read_stamps(out)
    [None, None]
    """
    return _texts(folder, STAMP)


def read_hashes(folder: str | Place) -> list[str | None]:
    """Every row's perceptual hash (`--store image`), None where it has none.

    >>> import tempfile, pyarrow.parquet as pq
    >>> from pathlib import Path
    >>> from jepa_jax.store.table import read_hashes
    >>> out = Path(tempfile.mkdtemp())
    >>> pq.write_table(pa.table({"id": ["a", "b"]}), out / "scores-000000.parquet")
    >>> read_hashes(out)
    [None, None]
    """
    return _texts(folder, HASH)


def _texts(folder: str | Place, name: str) -> list[str | None]:
    """A column that folders made before do not have."""
    texts: list[str | None] = []
    read = lambda path: read_table(path, ["id"], optional=[name])
    for table in each(shard_paths(place(folder)), read):
        known = name in table.column_names
        texts += table[name].to_pylist() if known else [None] * table.num_rows
    return texts


def read_patches(folder: str | Place, rows: Sequence[int]) -> dict[int, np.ndarray]:
    """The maps of the patches' shares of these rows, (rows, columns) float16, by row.

    Those that have none are left out. Memory: one shard's maps, and those asked for.

    >>> import tempfile, pyarrow.parquet as pq
    >>> from pathlib import Path
    >>> from jepa_jax.store.table import read_patches
    >>> out = Path(tempfile.mkdtemp())
    >>> kind = pa.list_(pa.list_(pa.float16()))
    >>> rows = pa.table({"patches": pa.array([[[np.float16(1), np.float16(2)]], None], kind)})
    >>> pq.write_table(rows, out / "scores-000000.parquet")
    >>> read_patches(out, [0, 1])
    {0: array([[1., 2.]], dtype=float16)}
    """
    maps: dict[int, np.ndarray] = {}
    wanted, start = np.unique(np.asarray(rows, int)), 0
    for path in shard_paths(place(folder)):
        count = count_rows(path)
        here = wanted[(wanted >= start) & (wanted < start + count)]
        if len(here) and "patches" in column_names(path):
            column = read_table(path, ["patches"])["patches"]
            for row in here.tolist():
                value = column[row - start].as_py()
                if value:
                    maps[row] = np.array(value, np.float16)
        start += count
    return maps


def read_embeddings(folder: str | Place) -> np.ndarray | None:
    """The embeddings of every row, (rows, K) float32, NaN where a row has none; None if not stored.

    Memory: 4 K bytes a row.

    >>> import tempfile, pyarrow.parquet as pq
    >>> from pathlib import Path
    >>> from jepa_jax.store import read_embeddings
    >>> out = Path(tempfile.mkdtemp())
    >>> rows = pa.table({"embedding": pa.array([[1.0, 2.0], None], pa.list_(pa.float32()))})
    >>> pq.write_table(rows, out / "scores-000000.parquet")
    >>> read_embeddings(out).tolist()
    [[1.0, 2.0], [nan, nan]]
    """
    counts = list(each(shard_paths(place(folder)), count_rows))
    found = each_embeddings(folder)
    if found is None:
        return None
    embeddings = None
    for rows, values in found:
        if embeddings is None:
            embeddings = np.full((sum(counts), values.shape[1]), np.nan, np.float32)
        embeddings[rows] = values
    return embeddings


def each_embeddings(folder: str | Place) -> Iterator[tuple[np.ndarray, np.ndarray]] | None:
    """The embeddings of a shard's rows at a time, and which rows of the table these are; None if
    not stored. Of shards where a row has one: rows (n,), embeddings (n, K).

    Memory: those of a shard.
    """
    paths = shard_paths(place(folder))
    if not paths or any("embedding" not in names for names in each(paths, column_names)):
        return None
    return _each_embeddings(paths)


def _each_embeddings(paths: list[Place]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    start = 0
    read = lambda path: read_table(path, ["embedding"])["embedding"].combine_chunks()
    for column in each(paths, read):
        filled = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        if len(filled):
            yield start + filled, column.flatten().to_numpy().reshape(len(filled), -1)
        start += len(column)
