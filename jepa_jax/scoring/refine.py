"""The cascade: rows of a calibrated method, the lowest and the doubtful ones scored again exactly.

Users of outlier lists look at the tails. A sketch ranks everything at a fraction of the cost; the
tails, where its error would decide, get the exact score.
"""

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from jepa_jax.data import Record, Source
from jepa_jax.scoring import rows as row_making
from jepa_jax.scoring import shards
from jepa_jax.scoring.resume import FLUSH_SECONDS
from jepa_jax.scoring.scorer import Scorer
from jepa_jax.scoring.stream import ahead, scored


@dataclasses.dataclass(frozen=True)
class Refinement:
    """Which rows are scored again exactly: shares of the rows with a score, and flagged ones.

    `low` and `high`: shares, in [0, 1]. Raises `ValueError` on others, or where both are 0.
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


def refine(
    scorer: Scorer,
    source: Source,
    out: Path,
    refinement: Refinement,
    columns,
    *,
    shard_size: int,
    views: int,
    store: tuple[str, ...],
    workers: int,
    on_start: Callable[[int, int], None] | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> Counter[str]:
    """Scores the selected rows of a finished run again by `scorer`, an exact one, in place.

    A refined row keeps what it had as `sketch_score` and `sketch_std_error`; its `method` says
    "exact". The selection is by the sketch's scores alone, so that an interrupted refinement is
    continued as it began. Shards are replaced atomically, at the latest every 30 seconds.
    """
    paths = shards.shard_paths(out)
    sketched, flags, done = _first_pass(paths)
    chosen = select(sketched, flags, refinement)
    todo = chosen & ~done
    if on_start is not None:
        on_start(int(chosen.sum()), int(chosen.sum() - todo.sum()))
    counts: Counter[str] = Counter()
    if not todo.any():
        return counts

    places: list[int] = []

    def records() -> Iterator[Record]:
        for index, record in enumerate(_within(source, todo)):
            if record is not None:
                places.append(index)
                yield record

    describe = "image" in store
    prepared = ahead(
        records(),
        lambda record: row_making.prepare(
            record, scorer.encoder, views=views, seed=scorer.seed, describe=describe
        ),
        workers,
        most=max(2, 3 * workers // views),
    )
    editor = _Editor(paths, columns)
    try:
        for number, (item, scores) in enumerate(scored(scorer, prepared)):
            shard, place = divmod(places[number], shard_size)
            before = editor.row(shard, place)
            if before["id"] != item.record.id:
                raise ValueError(
                    f"{source.name} has changed since {paths[shard]} was written: that has "
                    f"{before['id']!r} where the source now has {item.record.id!r}"
                )
            row = row_making.make_row(item, scores, method="exact", store=store)
            row["flagged"] = before["flagged"]
            row["sketch_score"] = before["jepa_score"]
            row["sketch_std_error"] = before["std_error"]
            editor.replace(place, row)
            counts[row["status"]] += 1
            if on_row is not None:
                on_row(row)
    finally:
        editor.write()
        prepared.close()
    return counts


def _first_pass(paths: list[Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every row: the first method's score (NaN where none), the flag, and whether refined."""
    scores, flags, done = [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0, bool)]
    for path in paths:
        table = pq.read_table(path, columns=["jepa_score", "sketch_score", "flagged", "method"])
        refined = np.array([m == "exact" for m in table["method"].to_pylist()], bool)
        first, kept = (
            table[name].to_numpy().astype(np.float64) for name in ("jepa_score", "sketch_score")
        )
        scores.append(np.where(refined, kept, first))
        flags.append(np.array([bool(f) for f in table["flagged"].to_pylist()], bool))
        done.append(refined)
    return np.concatenate(scores), np.concatenate(flags), np.concatenate(done)


class _Editor:
    """Rows replaced in place, one shard in memory at a time, in the order of the shards."""

    def __init__(self, paths: list[Path], columns):
        self.paths, self.columns = paths, columns
        self.shard: int | None = None
        self.rows: list[dict[str, Any]] = []
        self.changed = False
        self.written = time.monotonic()

    def row(self, shard: int, place: int) -> dict[str, Any]:
        if shard != self.shard:
            self.write()
            self.shard, self.rows = shard, shards.read_rows(self.paths[shard])
        return self.rows[place]

    def replace(self, place: int, row: dict[str, Any]) -> None:
        self.rows[place], self.changed = row, True
        if time.monotonic() - self.written > FLUSH_SECONDS:
            self.write()

    def write(self) -> None:
        if self.changed and self.shard is not None:
            shards.write_rows(self.paths[self.shard], self.rows, self.columns)
        self.changed, self.written = False, time.monotonic()


def _within(source: Source, wanted: np.ndarray) -> Iterable[Record | None]:
    """The source's records where `wanted`, None elsewhere, up to the last wanted one."""
    last = int(np.flatnonzero(wanted)[-1])
    for index, record in enumerate(source):
        yield record if wanted[index] else None
        if index == last:
            return
