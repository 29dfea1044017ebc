"""A shard of the output as the unit of work: what needs a row, and the rows written.

A shard is a pure function of the source and the settings: the records from `shard_size` times its
index on. Where it is computed is an engine's business (`jepa_jax.scoring.engines`).
"""

import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import pyarrow as pa

from jepa_jax.data import Record, Source
from jepa_jax.data.storage import Storage, was_transient
from jepa_jax.object_stores import Place
from jepa_jax.scoring.rows import Prepared, make_row, prepare
from jepa_jax.scoring.scores import Scores
from jepa_jax.scoring.stages import ROW, WRITING, stage
from jepa_jax.scoring.stream import ahead, scored
from jepa_jax.store.files import each
from jepa_jax.store.folder import shard_index, shard_path, shard_paths
from jepa_jax.store.schema import STAMP, schema
from jepa_jax.store.shards import read_rows, read_table, write_rows

# What a killed run may lose: rows are written when a shard is full, or after this many seconds.
FLUSH_SECONDS = 30.0

OnRow = Callable[[dict[str, Any]], None]

_Known = tuple[str, str, str | None, str | None]

Items = list[tuple[int, Record]]
"""Records with their places in a file of the output."""


def written_here(write: Callable[[], None], rows: int) -> None:
    """How a file is written, `rows` of it new or others than before: at once."""
    write()


Retry = Literal["failed", "all"]
"""Which rows without a score are done again: those whose image could not be got, or all."""

Changed = Literal["rescore", "keep"]
"""What becomes of the row of an image whose file has another size or time now."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """Records of one file of the output that need a row, each with its place in the file.

    `items` may be drawn from the source as it is iterated: finish one shard before the next.
    """

    index: int
    items: Iterable[tuple[int, Record]]


@dataclasses.dataclass(frozen=True)
class Part:
    """Every `of`-th shard of a run, from the `index`-th on, 1 the first: what one of several
    processes does that know nothing of each other, in a folder of its own.

    >>> Part.parse("2/8"), Part(2, 3).rows(total=10, shard_size=2)
    (Part(index=2, of=8), 4)
    """

    index: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.of:
            raise ValueError(f"`part` must be from 1/{self.of} to {self.of}/{self.of}, got {self}")

    @classmethod
    def parse(cls, text: str) -> "Part":
        """'2/8' as the second of eight."""
        index, _, of = text.partition("/")
        if not (index.isdecimal() and of.isdecimal()):
            raise ValueError(f"a part is written as in '2/8', got {text!r}")
        return cls(int(index), int(of))

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def has(self, shard: int) -> bool:
        """Whether a shard is of this part."""
        return shard % self.of == self.index - 1

    def rows(self, total: int, shard_size: int) -> int:
        """How many of so many rows are of this part."""
        shards = range(self.index - 1, -(-total // shard_size), self.of)
        return sum(min(shard_size, total - shard * shard_size) for shard in shards)


WHOLE = Part(1, 1)


@dataclasses.dataclass(frozen=True)
class RowSettings:
    """How rows are made and laid down: see `jepa_jax.scoring.run.run`. `method`: as in the rows;
    `groups`: of columns beside those in `store`; `rules`: the encoder's further embedding rules."""

    method: str
    views: int = 1
    store: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    shard_size: int = 1024
    threads: int = 8
    rules: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """The columns of the files."""
        return schema(self.store + self.groups, self.rules)


@dataclasses.dataclass(frozen=True)
class Task:
    """One pass over shards of the folder `out` by `scorer`, a `BatchScorer`, or None on the way to
    a worker that has its own. `work` does some of them:
    `score_shards`, or `jepa_jax.scoring.refine.refine_shards`; `storage`: where the images are;
    `retry`: as of `Pending`. `writing`: through it every file is written; `flush_seconds`: the
    longest that a row waits for that, `FLUSH_SECONDS` by default.
    """

    scorer: Any
    out: Place
    rows: RowSettings
    work: "Callable[[Task, Iterable[Shard], OnRow], None]"
    storage: Storage = dataclasses.field(default_factory=Storage)
    retry: Retry | None = None
    writing: Callable[[Callable[[], None], int], None] = written_here
    flush_seconds: float | None = None

    def is_done(self, row: dict[str, Any]) -> bool:
        """Whether a row of a file is as this pass leaves it."""
        return row["method"] == self.rows.method and not again(
            self.retry, row["status"], row["error"]
        )


class Pending:
    """The shards that lack rows, in order, after checking those rows that are there.

    A shard that is there must hold the ids that the source gives at its place; it may hold fewer
    than a full shard, and is then continued. `retry`, `changed`: rows to be done again, in their
    places; `on_changed` is told the id of the first one whose image's file has changed. `part`: the
    shards of which alone are of interest.

    `resumed` counts the rows that stay, `unavailable` those of them that a retry would do again,
    `changed_rows` those whose image's file has changed, whatever becomes of them.
    """

    def __init__(
        self,
        source: Source,
        out: Place,
        shard_size: int,
        limit: int | None,
        retry: Retry | None = None,
        changed: Changed = "rescore",
        on_changed: Callable[[str], object] = lambda id: None,
        part: Part = WHOLE,
    ):
        self.source, self.out, self.shard_size, self.limit = source, out, shard_size, limit
        self.retry: Retry | None = retry
        self.changed: Changed = changed
        self.part = part
        self.on_changed = on_changed
        self.resumed = self.unavailable = self.changed_rows = 0
        self._drawn = 0

    def __iter__(self) -> Iterator[Shard]:
        records = itertools.islice(iter(self.source), self.limit)
        of_part = [path for path in shard_paths(self.out) if self.part.has(shard_index(path))]
        there = zip(map(shard_index, of_part), each(of_part, _there), strict=True)
        nearest = next(there, None)
        for index in itertools.count():
            begin = self._drawn = index * self.shard_size
            of_shard = itertools.islice(records, self.shard_size)
            if self.part.has(index):
                rows = list[_Known]()
                if nearest is not None and nearest[0] == index:
                    rows, nearest = nearest[1], next(there, None)
                items = self._items(index, rows, of_shard)
                first = next(items, None)
                if first is not None:
                    yield Shard(index, itertools.chain([first], items))
            else:
                self._drawn += sum(1 for _ in of_shard)
            if self._drawn < begin + self.shard_size:
                return

    def _items(
        self, index: int, there: list[_Known], records: Iterator[Record]
    ) -> Iterator[tuple[int, Record]]:
        """The records of a shard that need a row, with their places; the others are checked."""
        path = shard_path(self.out, index)
        for place, (expected, status, error, stamp) in enumerate(there):
            record = next(records, None)
            if record is None and self._drawn == self.limit:
                return  # A smaller limit than before: its rows are all there.
            if record is None or record.id != expected:
                found = "no more images" if record is None else f"{record.id!r}"
                raise ValueError(
                    f"{self.source.name} has changed since {path} was written: that has "
                    f"{expected!r} where the source now has {found}; give another output folder"
                )
            self._drawn += 1
            changed = self._has_changed(record, stamp)
            if again(self.retry, status, error) or (changed and self.changed == "rescore"):
                yield place, record
            else:
                self.resumed += 1
                self.unavailable += again("failed", status, error)
        for place, record in enumerate(records, start=len(there)):
            self._drawn += 1
            yield place, record

    def _has_changed(self, record: Record, stamp: str | None) -> bool:
        """Whether the row that has this stamp is of another file than the record's now."""
        if not _is_another(record, stamp):
            return False
        self.changed_rows += 1
        if self.changed_rows == 1:
            self.on_changed(record.id)
        return True


def _is_another(record: Record, stamp: str | None) -> bool:
    """Whether a record's file is known to be another one than that of this stamp."""
    # Of what is missing or was never known nothing can be said.
    now = None if stamp is None else record.stamp()
    return now is not None and now != stamp


def again(retry: Retry | None, status: str, error: str | None) -> bool:
    """Whether a row of this status and error is one to be done again."""
    if retry is None or status == "ok":
        return False
    return (
        retry == "all"
        or status == "unavailable"
        # As such rows were called before they had a status of their own.
        or (status == "unreadable" and was_transient(error))
    )


def count_again(out: Place, retry: Retry | None) -> int:
    """How many of a folder's rows are to be done again."""
    if retry is None:
        return 0
    files = each(shard_paths(out), _there)
    return sum(again(retry, status, error) for rows in files for _, status, error, _ in rows)


def _there(path: Place) -> list[_Known]:
    """The id, status, error and stamp of a shard's rows."""
    table = read_table(path, ["id", "status", "error"], optional=[STAMP])
    columns = [column.to_pylist() for column in table.columns]
    if STAMP not in table.column_names:  # Made before there were any.
        columns.append([None] * table.num_rows)
    return list(zip(*columns, strict=True))


def done_and_left(task: Task, index: int, items: Items) -> tuple[dict[int, dict[str, Any]], Items]:
    """Of a shard's records the rows by place that its file has as the task leaves them, and those
    records that have no such row yet."""
    path = shard_path(task.out, index)
    rows = read_rows(path) if path.exists() else []
    done, left = dict[int, dict[str, Any]](), Items()
    for place, record in items:
        row = rows[place] if place < len(rows) and rows[place]["id"] == record.id else None
        if row is not None and task.is_done(row) and not _is_another(record, row.get(STAMP)):
            done[place] = row
        else:
            left.append((place, record))
    return done, left


def score_shards(task: Task, shards: Iterable[Shard], on_row: OnRow) -> None:
    """A row for every record of the shards; at the latest after 30 seconds it is in its file."""
    writer = ShardWriter(task)
    try:
        for index, place, item, scores in scored_items(task, shards):
            with stage(ROW):
                row = make_row(item, scores, method=task.rows.method, store=task.rows.store)
                writer.put(index, place, row)
                on_row(row)
    finally:
        with stage(WRITING):
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
        lambda record: prepare(
            record, encoder, views=rows.views, seed=seed, store=rows.store, storage=task.storage
        ),
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

    def __init__(self, task: Task):
        self.task = task
        self.index: int | None = None
        self.rows: list[dict[str, Any]] = []
        self.changed = 0  # Rows since they were written.
        self.flushed = time.monotonic()

    def row(self, index: int, place: int) -> dict[str, Any] | None:
        """The row that is at a place; None where there is none yet."""
        self._open(index)
        return self.rows[place] if place < len(self.rows) else None

    def put(self, index: int, place: int, row: dict[str, Any]) -> None:
        """A new row at the end of a shard, or another one in the place of a row."""
        self._open(index)
        full = False
        if place == len(self.rows):
            self.rows.append(row)
            full = len(self.rows) == self.task.rows.shard_size
        else:
            self.rows[place] = row
        self.changed += 1
        longest = FLUSH_SECONDS if self.task.flush_seconds is None else self.task.flush_seconds
        if full or time.monotonic() - self.flushed > longest:
            self.flush()

    def flush(self) -> None:
        """Writes what has changed."""
        if self.changed and self.index is not None:
            path, rows, columns = shard_path(self.task.out, self.index), self.rows, self.schema
            self.task.writing(lambda: write_rows(path, rows, columns), self.changed)
        self.changed, self.flushed = 0, time.monotonic()

    @property
    def schema(self) -> pa.Schema:
        """The columns of the files."""
        return self.task.rows.schema

    def _open(self, index: int) -> None:
        if index != self.index:
            self.flush()
            path = shard_path(self.task.out, index)
            self.rows = read_rows(path) if path.exists() else []
            self.index = index
