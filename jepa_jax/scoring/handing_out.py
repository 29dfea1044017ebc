"""Which worker gets which shard, and what becomes of those of a worker that is lost.

The bookkeeping of an engine, without processes: what it is told decides everything. Every row is
reported once, and a shard is finished when its rows are in their file, as the worker says, or the
file itself once that worker is lost. A worker has `AHEAD` shards in memory, and twice as many as it
had when it last said that it has read them all and waits for more: as many as its stream reads
ahead, however small they are.

Who is to blame for a worker's death is found out: what it had is given to others again, first a
shard alone, its rows written every second; then, where none came to be written, one record at a
time. A record that three workers died of without a row in between ends the run with its name, or
is left out if so asked: a row says so, and `retry` does it again.
"""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from jepa_jax.data import Record
from jepa_jax.scoring.rows import Prepared, make_row
from jepa_jax.scoring.work import Items, OnRow, Shard, ShardWriter, Task, done_and_left
from jepa_jax.scoring.workers import WorkerDied
from jepa_jax.store.folder import shard_path

OnLost = Literal["end", "skip"]
"""What is done with a record that kills its workers: the run ends, or it is left out."""

AHEAD = 2
_DEATHS = 3
# Of the row that a second pass would have replaced.
_KEPT = ("flagged", "sketch_score", "sketch_std_error")
# So many records of a doubtful shard go one at a time, before the rest of it goes at once again.
ONE_AT_A_TIME = 64


@dataclasses.dataclass(eq=False)
class Lot:
    """A shard on its way. `care`: 0 for one as any other; 1: alone, written every second; 2: its
    first records one at a time. `deaths`: since a row of it was written. `end`: its last row's
    number among those that its worker was given."""

    index: int
    items: Items
    care: int = 0
    deaths: int = 0
    end: int = 0
    reported: set[int] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class _Backlog:
    """What a worker has: lots in order, and the rows expected of it."""

    lots: deque[Lot] = dataclasses.field(default_factory=deque)
    expected: deque[tuple[Lot, int, str]] = dataclasses.field(default_factory=deque)
    given: int = 0
    seen: int = 0
    ahead: int = AHEAD
    is_open: bool = False  # Whether it waits for more, with records that no batch is full of yet.
    drains: bool = False


class HandingOut:
    """The shards of one task, handed out to workers that are called by any hashable name.

    Raises `WorkerDied` where `on_lost` is "end" and a record has killed its workers, or an error of
    theirs has come again; `ValueError` where a worker's rows are not those that were asked for.
    """

    def __init__(self, task: Task, shards: Iterable[Shard], on_row: OnRow, on_lost: OnLost = "end"):
        self.task, self.on_row, self.on_lost = task, on_row, on_lost
        self._shards: Iterator[Shard] | None = iter(shards)
        self._again = deque[Lot]()
        self._backlogs: dict[Any, _Backlog] = {}

    @property
    def finished(self) -> bool:
        """Whether every row is in its file, and no worker waits for more."""
        busy = any(backlog.lots or backlog.is_open for backlog in self._backlogs.values())
        return not busy and not self._again and self._shards is None

    def order(self, worker: Any, waits: bool = False) -> tuple[list[Lot], bool] | None:
        """New lots for a worker, and whether it shall finish what it has without waiting for more;
        None where it has nothing to do. `waits`: whether it has read all that it has, and does not
        finish it before it is told to or given more."""
        backlog = self._backlogs.setdefault(worker, _Backlog())
        lots = list[Lot]()
        if not backlog.lots:
            backlog.drains = False
            lot = self._again.popleft() if self._again else self._next()
            if lot is None:
                was_open, backlog.is_open = backlog.is_open, False
                return ([], True) if was_open else None
            lots.append(self._give(backlog, lot))
        if backlog.lots[0].care:
            backlog.is_open = False
            return lots, bool(lots)
        backlog.is_open = backlog.is_open or bool(lots)
        draining = sum(other.drains for other in self._backlogs.values())
        if not backlog.drains and len(self._again) > draining:
            backlog.drains = True  # It will be free for one of them.
        if waits and not lots:
            backlog.ahead = max(backlog.ahead, 2 * len(backlog.lots))
        while not backlog.drains and len(backlog.lots) < backlog.ahead:
            lot = self._next()
            if lot is None:
                break
            lots.append(self._give(backlog, lot))
        close = backlog.is_open and (backlog.drains or self._shards is None)
        backlog.is_open = backlog.is_open and not close
        return lots, close

    def report(self, worker: Any, rows: list[dict[str, Any]], written: int) -> None:
        """New rows of a worker, in the order of its lots, and how many of all its are in files."""
        backlog = self._backlogs.setdefault(worker, _Backlog())
        for row in rows:
            if not backlog.expected or row["id"] != backlog.expected[0][2]:
                wanted = backlog.expected[0][2] if backlog.expected else "none"
                raise ValueError(f"worker {worker}: a row of {row['id']!r}, expected {wanted!r}")
            lot, place, _ = backlog.expected.popleft()
            self._report(lot, place, row)
        backlog.seen += len(rows)
        while backlog.lots and backlog.lots[0].end <= min(written, backlog.seen):
            backlog.lots.popleft()

    def lost(self, worker: Any, cause: str) -> None:
        """A worker is gone: what it had is handed out again, less what is in the files."""
        backlog = self._backlogs.pop(worker, _Backlog())
        for place, lot in enumerate(backlog.lots):
            self._hand_out_again(lot, cause, suspect=place == 0)

    def _hand_out_again(self, lot: Lot, cause: str, suspect: bool) -> None:
        before = len(lot.items)
        done, lot.items = done_and_left(self.task, lot.index, lot.items)
        for place, row in done.items():
            self._report(lot, place, row)
        lot.deaths = (lot.deaths if len(lot.items) == before else 0) + suspect
        if lot.items and lot.care == 2 and lot.deaths >= _DEATHS:
            self._leave_out(lot, cause)
        if lot.items:
            lot.care = 2 if lot.deaths >= _DEATHS - 1 else 1
            self._again.append(lot)

    def _leave_out(self, lot: Lot, cause: str) -> None:
        """The first record of a lot has killed its workers."""
        place, record = lot.items[0]
        path = shard_path(self.task.out, lot.index)
        said = f"{lot.deaths} workers died at {record.id!r} ({path.name}); the last one: {cause}"
        if self.on_lost == "end":
            raise WorkerDied(
                f"{said}. Rows that are written stay; the same command continues, and with "
                "--on-lost skip it leaves out what kills workers"
            )
        rows = self.task.rows
        lost = Prepared(record, [], f"WorkerDied: {said}", "unavailable")
        row = make_row(lost, None, method=rows.method, store=rows.store)
        writer = ShardWriter(self.task)
        if before := writer.row(lot.index, place):
            row |= {name: before[name] for name in _KEPT if name in before}
        writer.put(lot.index, place, row)
        writer.flush()
        self._report(lot, place, row)
        lot.items, lot.deaths = lot.items[1:], 0

    def _report(self, lot: Lot, place: int, row: dict[str, Any]) -> None:
        if place not in lot.reported:
            lot.reported.add(place)
            self.on_row(row)

    def _next(self) -> Lot | None:
        while self._shards is not None:
            shard = next(self._shards, None)
            if shard is None:
                self._shards = None
            else:
                items: list[tuple[int, Record]] = list(shard.items)
                if items:
                    return Lot(shard.index, items)
        return None

    def _give(self, backlog: _Backlog, lot: Lot) -> Lot:
        backlog.given += len(lot.items)
        lot.end = backlog.given
        backlog.lots.append(lot)
        backlog.expected.extend((lot, place, record.id) for place, record in lot.items)
        return lot
