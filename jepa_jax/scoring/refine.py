"""The cascade: rows of a calibrated method, the lowest and the doubtful ones scored again exactly.

Users of outlier lists look at the tails. A sketch, or a low precision, ranks everything at a
fraction of the cost; the tails, where its error would decide, get the exact score in float32.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import numpy as np

from jepa_jax.data import Record, Source
from jepa_jax.object_stores import Place
from jepa_jax.precisions import Precision
from jepa_jax.scoring.rows import make_row
from jepa_jax.scoring.work import OnRow, Shard, ShardWriter, Task, scored_items
from jepa_jax.store.files import each
from jepa_jax.store.folder import shard_path, shard_paths
from jepa_jax.store.schema import STAMP
from jepa_jax.store.shards import read_table

# Whatever the precision of the first method is.
REFINED_AT: Precision = "highest"


@dataclasses.dataclass(frozen=True)
class Refinement:
    """Which rows are scored again exactly: shares of the rows with a score, and flagged ones.

    `low` and `high`: shares, in [0, 1]. Raises `ValueError` on others, or where both are 0.

    >>> Refinement(low=0.01)  # `Scorer.run(..., refine=...)`: the lowest hundredth.
    Refinement(low=0.01, high=0.0)
    """

    low: float = 0.05
    high: float = 0.0

    def __post_init__(self):
        for name in ("low", "high"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be between 0 and 1, got {getattr(self, name)}")
        if not self.low and not self.high:
            raise ValueError("`low` or `high` must be above 0: nothing would be refined")


def select(scores: np.ndarray, flagged: np.ndarray, refinement: Refinement) -> np.ndarray:
    """Which of the rows to refine: the lowest and highest shares of the finite scores, rounded up,
    and all that are flagged."""
    finite = np.flatnonzero(np.isfinite(scores))
    order = finite[np.argsort(scores[finite], kind="stable")]
    chosen = flagged.copy()
    chosen[order[: math.ceil(refinement.low * len(order))]] = True
    chosen[order[len(order) - math.ceil(refinement.high * len(order)) :]] = True
    return chosen


@dataclasses.dataclass(frozen=True)
class Unrefined:
    """The rows of a finished folder that are still to be scored again, `chosen` of them in all.

    The selection is by the first method's scores alone, so that an interrupted refinement is
    continued as it began.
    """

    todo: np.ndarray
    chosen: int

    @classmethod
    def of(cls, out: Place, refinement: Refinement) -> "Unrefined":
        """Read from the folder's rows. Memory: 10 bytes a row."""
        scores, flags, done = _first_pass(shard_paths(out))
        chosen = select(scores, flags, refinement)
        return cls(chosen & ~done, int(chosen.sum()))

    @property
    def left(self) -> int:
        """How many rows are to be scored again."""
        return int(self.todo.sum())

    def shards(self, source: Source, shard_size: int) -> Iterator[Shard]:
        """The shards with such rows, their records drawn from the source up to the last one."""
        wanted = np.flatnonzero(self.todo)
        if not len(wanted):
            return
        indices, firsts = np.unique(wanted // shard_size, return_index=True)
        records = enumerate(source)
        for index, rows in zip(indices.tolist(), np.split(wanted, firsts[1:]), strict=True):
            yield Shard(index, _at(records, rows, index * shard_size))


def _at(
    records: Iterator[tuple[int, Record]], rows: np.ndarray, start: int
) -> Iterator[tuple[int, Record]]:
    """The records with these numbers, ascending, each with its place after `start`."""
    for row in rows.tolist():
        for number, record in records:
            if number == row:
                yield row - start, record
                break


def refine_shards(task: Task, shards: Iterable[Shard], on_row: OnRow) -> None:
    """Scores the shards' items again by the task's scorer, an exact one, in place.

    A refined row keeps what the first method gave it as `sketch_score` and `sketch_std_error`; its
    `method` says "exact". Shards are replaced atomically, at the latest every 30 seconds.
    """
    writer = ShardWriter(task)
    try:
        for index, place, item, scores in scored_items(task, shards):
            before = writer.row(index, place)
            if before is None or before["id"] != item.record.id:
                found = "no such row" if before is None else repr(before["id"])
                raise ValueError(
                    f"the source has changed since {shard_path(task.out, index)} was written: that "
                    f"has {found} where the source now has {item.record.id!r}"
                )
            if task.is_done(before):  # By a worker that was taken for lost.
                on_row(before)
                continue
            row = make_row(item, scores, method=task.rows.method, store=task.rows.store)
            row["flagged"] = before["flagged"]
            if before.get(STAMP) == row[STAMP]:  # Else the sketch was of another image.
                row["sketch_score"] = before["jepa_score"]
                row["sketch_std_error"] = before["std_error"]
            writer.put(index, place, row)
            on_row(row)
    finally:
        writer.flush()


def _first_pass(paths: list[Place]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every row: the first method's score (NaN where none), the flag, and whether refined."""
    scores, flags, done = [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0, bool)]
    columns = ["jepa_score", "sketch_score", "flagged", "method"]
    for table in each(paths, lambda path: read_table(path, columns)):
        refined = np.array([m == "exact" for m in table["method"].to_pylist()], bool)
        first, kept = (
            table[name].to_numpy().astype(np.float64) for name in ("jepa_score", "sketch_score")
        )
        scores.append(np.where(refined, kept, first))
        flags.append(np.array([bool(f) for f in table["flagged"].to_pylist()], bool))
        done.append(refined)
    return np.concatenate(scores), np.concatenate(flags), np.concatenate(done)
