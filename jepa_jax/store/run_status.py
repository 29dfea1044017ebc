"""Where a run is: a small file in its folder, for another terminal, and for its own workers.

Written every few seconds by the one process that holds the folder; of a run that was killed it is
the last that was known. `run` names that run: a worker that belongs to another one, or that is
taken for lost, writes no more (`jepa_jax.scoring.cluster_worker`).
"""

import dataclasses
import datetime
import json
from typing import Any

from jepa_jax.object_stores import Place
from jepa_jax.store.files import put_text, read
from jepa_jax.store.folder import STATUS, is_written_to


@dataclasses.dataclass(frozen=True)
class WorkerStatus:
    """One worker of an engine: `rows` that it has made, `recent` of them a second in the last
    minute; `state`: "starting", "working", "idle" or "waiting" for a place in the cluster.

    >>> from jepa_jax.store import WorkerStatus
    >>> WorkerStatus(3, "working", "node-7, process 2104 (gpu: H100)", rows=512, recent=8.5).rows
    512
    """

    number: int
    state: str
    where: str = ""
    rows: int = 0
    recent: float = 0.0


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """The state of a run of `jepa-jax score`.

    `state`: "running", "finished", "stopped" (by a signal) or "failed"; `doing`: "scoring" or
    "refining". `total` rows (None where that is not known), `there` of them before this run;
    `counts` of the rows that it made by status, `errors` of those without a score by kind;
    `overall` and `recent` rows a second, since the start and in the last minute; `workers` alive,
    and `lost` ones by their numbers; `note`: what a user should know of them.

    >>> from jepa_jax.store import RunStatus
    >>> RunStatus("a", "running", total=100, there=20, counts={"ok": 30}, recent=5.0).seconds_left
    10.0
    """

    run: str
    state: str
    engine: str = "local"
    doing: str = "scoring"
    process: int = 0
    host: str = ""
    started: str = ""
    updated: str = ""
    total: int | None = None
    there: int = 0
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    errors: dict[str, int] = dataclasses.field(default_factory=dict)
    overall: float = 0.0
    recent: float = 0.0
    workers: tuple[WorkerStatus, ...] = ()
    lost: tuple[int, ...] = ()
    note: str = ""

    @property
    def rows(self) -> int:
        """Rows of this run."""
        return sum(self.counts.values())

    @property
    def seconds_left(self) -> float | None:
        """For the rows that are left, at the recent rate; None where that is not known."""
        if self.total is None or self.recent <= 0:
            return None
        return max(0, self.total - self.there - self.rows) / self.recent

    def unfinished(self, rows: int) -> str:
        """What a folder of so many rows lacks where this run is not at its end, in words; "" where
        it is.

        Rows are made in the source's order, so what is missing is no random part of it.
        """
        if self.state == "finished":
            return ""
        how = {"running": "is still running", "killed": "was killed", "failed": "has failed"}
        of = "" if self.total is None else f" of {self.total:,}"
        what = f"{rows:,}{of} rows are there"
        if self.doing == "refining":
            what += ", not all of them scored again that are to be"
        return f"unfinished: the run {how.get(self.state, 'was stopped')}; {what}"

    def write(self, out: Place) -> None:
        """Puts it into its folder, with the time."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        content = dataclasses.asdict(dataclasses.replace(self, updated=now))
        put_text(out / STATUS, json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, out: Place) -> "RunStatus | None":
        """That of a folder; None where there is none, or what is no such file.

        One that says "running" though no process holds the folder was killed: "killed".
        """
        found = read_status(out)
        try:
            workers = tuple(WorkerStatus(**worker) for worker in found.pop("workers", ()))
            status = cls(**found | {"workers": workers, "lost": tuple(found.get("lost", ()))})
        except (TypeError, AttributeError):
            return None
        if status.state == "running" and is_written_to(out) is False:
            return dataclasses.replace(status, state="killed")
        return status


def unfinished(out: Place, rows: int) -> str:
    """`RunStatus.unfinished` of a folder; "" where nothing is known of a run."""
    status = RunStatus.read(out)
    return "" if status is None else status.unfinished(rows)


def read_status(out: Place) -> dict[str, Any]:
    """The file's content as it is; empty where there is none that can be read."""
    try:
        found = json.loads(read(out / STATUS))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
