"""Resuming: which records still need a row, and rows into shards where an earlier run stopped."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jepa_jax.data import Record, Source
from jepa_jax.scoring import shards

# What a killed run may lose: rows are written when a shard is full, or after this many seconds.
FLUSH_SECONDS = 30.0


class Todo:
    """The records that have no row yet, in order, after checking those that have one.

    A shard that is there must hold the ids that the source gives at its place; it may hold fewer
    than a full shard, and is then continued (`unfinished`).
    """

    def __init__(self, source: Source, out: Path, shard_size: int, limit: int | None):
        self.source, self.out, self.shard_size, self.limit = source, out, shard_size, limit
        self.resumed = 0
        self.unfinished: dict[int, Path] = {}

    def __iter__(self) -> Iterator[Record]:
        records = itertools.islice(iter(self.source), self.limit)
        for index in itertools.count():
            path = shards.shard_path(self.out, index)
            shard = itertools.islice(records, self.shard_size)
            done = shards.read_ids(path) if path.exists() else []
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
            if 0 < len(done) < self.shard_size:
                self.unfinished[index] = path
            first = next(shard, None) if len(done) < self.shard_size else None
            if first is not None:
                yield first
                yield from shard
            elif len(done) < self.shard_size:
                return


class Writer:
    """Rows into shards, in the order of the records, from where an earlier run stopped."""

    def __init__(self, out: Path, shard_size: int, columns, todo: Todo):
        self.out, self.shard_size, self.columns, self.todo = out, shard_size, columns, todo
        self.rows: list[dict[str, Any]] = []
        self.index: int | None = None
        self.flushed = time.monotonic()
        self.unwritten = 0

    def add(self, row: dict[str, Any]) -> None:
        if self.index is None:
            self._open()
        self.rows.append(row)
        self.unwritten += 1
        if len(self.rows) == self.shard_size:
            self.flush()
            self.rows, self.index = [], None
        elif time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def _open(self) -> None:
        """The first shard that is not full: shards before it were full when they were passed."""
        index = 0
        while shards.shard_path(self.out, index).exists() and index not in self.todo.unfinished:
            index += 1
        path = self.todo.unfinished.pop(index, None)
        self.rows = shards.read_rows(path) if path is not None else []
        self.index = index

    def flush(self) -> None:
        if self.unwritten and self.index is not None:
            shards.write_rows(shards.shard_path(self.out, self.index), self.rows, self.columns)
            self.unwritten = 0
        self.flushed = time.monotonic()
