"""A shard of the output as the unit of work: what needs a row, and the rows written.

A shard is a pure function of the source and the settings: the records from `shard_size` times its
index on. Where it is computed is an engine's business (`jepa_jax.scoring.engines`).
"""

import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from jepa_jax.data import Record, Source
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.rows import Prepared, make_row, prepare
from jepa_jax.scoring.scores import Scores
from jepa_jax.scoring.stream import ahead, scored
from jepa_jax.store.folder import shard_path
from jepa_jax.store.schema import schema
from jepa_jax.store.shards import read_ids, read_rows, write_rows

# What a killed run may lose: rows are written when a shard is full, or after this many seconds.
FLUSH_SECONDS = 30.0

OnRow = Callable[[dict[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Shard:
    """Records of one file of the output that need a row, each with its place in the file.

    `items` may be drawn from the source as it is iterated: finish one shard before the next.
    """

    index: int
    items: Iterable[tuple[int, Record]]


@dataclasses.dataclass(frozen=True)
class RowSettings:
    """How rows are made and laid down: see `jepa_jax.scoring.run.run`. `method`: as in the rows;
    `groups`: of columns beside those in `store`."""

    method: str
    views: int = 1
    store: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    shard_size: int = 1024
    threads: int = 8

    @property
    def schema(self) -> pa.Schema:
        """The columns of the files."""
        return schema(self.store + self.groups)


@dataclasses.dataclass(frozen=True)
class Task:
    """One pass over shards of the folder `out` by `scorer`. `work` does some of them:
    `score_shards`, or `jepa_jax.scoring.refine.refine_shards`."""

    scorer: BatchScorer
    out: Path
    rows: RowSettings
    work: "Callable[[Task, Iterable[Shard], OnRow], None]"


class Pending:
    """The shards that lack rows, in order, after checking those rows that are there.

    A shard that is there must hold the ids that the source gives at its place; it may hold fewer
    than a full shard, and is then continued. `resumed` counts the rows found.
    """

    def __init__(self, source: Source, out: Path, shard_size: int, limit: int | None):
        self.source, self.out, self.shard_size, self.limit = source, out, shard_size, limit
        self.resumed = 0

    def __iter__(self) -> Iterator[Shard]:
        records = itertools.islice(iter(self.source), self.limit)
        for index in itertools.count():
            path = shard_path(self.out, index)
            shard = itertools.islice(records, self.shard_size)
            done = read_ids(path) if path.exists() else []
            for expected in done:
                record = next(shard, None)
                if record is None and self.limit is not None:
                    return  # A smaller limit than before: its rows are all there.
                if record is None or record.id != expected:
                    found = "no more images" if record is None else f"{record.id!r}"
                    raise ValueError(
                        f"{self.source.name} has changed since {path} was written: that has "
                        f"{expected!r} where the source now has {found}; give another output folder"
                    )
                self.resumed += 1
            if len(done) == self.shard_size:
                continue
            first = next(shard, None)
            if first is None:
                return
            yield Shard(index, enumerate(itertools.chain([first], shard), start=len(done)))


def score_shards(task: Task, shards: Iterable[Shard], on_row: OnRow) -> None:
    """A row for every record of the shards; at the latest after 30 seconds it is in its file."""
    writer = ShardWriter(task.out, task.rows)
    try:
        for index, place, item, scores in scored_items(task, shards):
            row = make_row(item, scores, method=task.rows.method, store=task.rows.store)
            writer.put(index, place, row)
            on_row(row)
    finally:
        writer.flush()  # Also after Ctrl-C or a failure: what is scored is kept.


def scored_items(
    task: Task, shards: Iterable[Shard]
) -> Iterator[tuple[int, int, Prepared, Scores | None]]:
    """The shards' records with their scores: (shard, place in it, record, scores), in order."""
    rows, places = task.rows, deque[tuple[int, int]]()

    def records() -> Iterator[Record]:
        for shard in shards:
            for place, record in shard.items:
                places.append((shard.index, place))
                yield record

    encoder, seed = task.scorer.encoder, task.scorer.seed
    prepared = ahead(
        records(),
        lambda record: prepare(record, encoder, views=rows.views, seed=seed, store=rows.store),
        rows.threads,
        # Views are held as arrays: many of them mean few images ahead.
        most=max(2, 3 * rows.threads // rows.views),
    )
    try:
        for item, scores in scored(task.scorer, prepared):
            index, place = places.popleft()
            yield index, place, item, scores
    finally:
        prepared.close()


class ShardWriter:
    """Rows put into shards, one of them in memory at a time, in the order of the shards."""

    def __init__(self, out: Path, settings: RowSettings):
        self.out, self.settings = out, settings
        self.index: int | None = None
        self.rows: list[dict[str, Any]] = []
        self.changed = False
        self.flushed = time.monotonic()

    def row(self, index: int, place: int) -> dict[str, Any]:
        """The row that is at a place."""
        self._open(index)
        return self.rows[place]

    def put(self, index: int, place: int, row: dict[str, Any]) -> None:
        """A new row at the end of a shard, or another one in the place of a row."""
        self._open(index)
        full = False
        if place == len(self.rows):
            self.rows.append(row)
            full = len(self.rows) == self.settings.shard_size
        else:
            self.rows[place] = row
        self.changed = True
        if full or time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what has changed."""
        if self.changed and self.index is not None:
            write_rows(shard_path(self.out, self.index), self.rows, self.settings.schema)
        self.changed, self.flushed = False, time.monotonic()

    def _open(self, index: int) -> None:
        if index != self.index:
            self.flush()
            path = shard_path(self.out, index)
            self.rows = read_rows(path) if path.exists() else []
            self.index = index
