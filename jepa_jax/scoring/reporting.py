"""What a run says of itself while it runs: to its caller, and in its folder's status."""

import dataclasses
import datetime
import os
import secrets
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from jepa_jax.object_stores import Place
from jepa_jax.scoring.work import OnRow
from jepa_jax.store.run_status import RunStatus, WorkerStatus

# How often the status is written, and over how long the recent rate is taken.
_EVERY = 5.0
_RECENT = 60.0
# The most kinds of errors that are counted apart.
_KINDS = 50


class Rate:
    """How many a second, over the last minute."""

    def __init__(self) -> None:
        self.count = 0
        self._marks = deque([(time.monotonic(), 0)])

    def add(self, count: int = 1) -> None:
        """So many more."""
        self.count += count

    def recent(self) -> float:
        """The rate since a minute ago."""
        now = time.monotonic()
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, self.count))
        while len(self._marks) > 2 and now - self._marks[1][0] > _RECENT:
            self._marks.popleft()
        since, before = self._marks[0]
        return (self.count - before) / max(now - since, 1e-3)


class Reporting:
    """The status of one run in the folder `out`; a context manager that notes how it ends.

    `on_row` is called for every row, `on_status` with every status: at least every second where an
    engine waits for its workers. Whatever they raise ends the run, as does what `check` raises,
    before each write.
    """

    def __init__(
        self,
        out: Place,
        engine: str,
        on_row: OnRow | None,
        on_status: Callable[[RunStatus], None] | None,
        check: Callable[[], None] = lambda: None,
    ):
        self._check = check
        self.out, self._on_row, self._on_status = out, on_row, on_status
        self.counts, self._errors = Counter[str](), Counter[str]()
        self._rate, self._began, self._written = Rate(), time.monotonic(), 0.0
        self.status = RunStatus(
            run=secrets.token_hex(8),
            state="running",
            engine=engine,
            process=os.getpid(),
            host=socket.gethostname(),
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )

    def __enter__(self) -> "Reporting":
        self._write()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        stopped = kind is not None and issubclass(kind, KeyboardInterrupt)
        state = "finished" if kind is None else "stopped" if stopped else "failed"
        self.status = dataclasses.replace(self.status, state=state, workers=())
        try:
            self._write()
        except OSError:
            if kind is None:  # Else what ended the run is to be told.
                raise

    def begin(self, doing: str, total: int | None, there: int) -> Counter[str]:
        """Begins a pass over so many rows in all, some of them there before; returns the counts of
        its rows by status, as they will be."""
        self.counts, self._errors = Counter(), Counter()
        self._rate, self._began = Rate(), time.monotonic()
        self.status = dataclasses.replace(self.status, doing=doing, total=total, there=there)
        return self.counts

    def row(self, row: dict[str, Any]) -> None:
        """One more row."""
        self.counts[row["status"]] += 1
        if row["status"] != "ok":
            kind = (row["error"] or row["status"]).partition(":")[0][:60]
            if len(self._errors) >= _KINDS and kind not in self._errors:
                kind = "others"
            self._errors[kind] += 1
        self._rate.add()
        if self._on_row is not None:
            self._on_row(row)
        if self._rate.count % 64 == 1 or time.monotonic() - self._written > _EVERY:
            self._tell()

    def workers(
        self, workers: Sequence[WorkerStatus], lost: Sequence[int] = (), note: str = ""
    ) -> None:
        """How an engine's workers are. Who is newly lost is written before this returns."""
        newly = len(lost) != len(self.status.lost)
        self.status = dataclasses.replace(
            self.status, workers=tuple(workers), lost=tuple(lost), note=note
        )
        self._tell(now=newly)
        self._count()
        if self._on_status is not None:
            self._on_status(self.status)

    def _tell(self, now: bool = False) -> None:
        if now or time.monotonic() - self._written > _EVERY:
            self._write()

    def _write(self) -> None:
        self._check()
        self._written = time.monotonic()
        self._count()
        self.status.write(self.out)

    def _count(self) -> None:
        self.status = dataclasses.replace(
            self.status,
            counts=dict(self.counts),
            errors=dict(self._errors.most_common()),
            overall=self._rate.count / max(time.monotonic() - self._began, 1e-3),
            recent=self._rate.recent(),
        )
