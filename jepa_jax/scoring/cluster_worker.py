"""A worker of a cluster: one process that scores the shards it is given.

It makes its scorer of a recipe, and reads, computes and writes in a thread of its own, one stream
of batches through all shards. Its caller takes turns with it: shards in, rows out.
"""

import dataclasses
import os
import pickle
import queue
import socket
import threading
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from jepa_jax.data.record import Record
from jepa_jax.object_stores import Place, place
from jepa_jax.scoring.handing_out import ONE_AT_A_TIME
from jepa_jax.store.run_status import read_status
from jepa_jax.store.schema import LONG
from jepa_jax.version import NUMERICS, __version__

# A turn lasts so long where nothing ends it sooner.
_TURN_SECONDS = 0.5
# A stream that is given nothing for so long ends, and what it has gathered is finished.
_STARVED_SECONDS = 5.0
# A doubtful shard's rows wait no longer.
_CAREFUL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Hello:
    """What a worker must know and have to belong to a run. `cpus`, `devices`: its share of its
    node; no device: the CPU."""

    number: int
    versions: dict[str, str]
    cpus: int
    devices: int


@dataclasses.dataclass(frozen=True)
class Given:
    """A shard as it is sent: see `jepa_jax.scoring.handing_out.Lot`."""

    index: int
    items: list[tuple[int, Record]]
    care: int


@dataclasses.dataclass(frozen=True)
class Turn:
    """What a worker has to say: new rows without their long columns, how many rows of all are in
    their files, whether it waits for more with a batch half full, and the error that ended its
    work, pickled, and in words."""

    rows: list[dict[str, Any]]
    written: int
    waits: bool = False
    error: bytes | None = None
    said: str = ""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a function found, pickled, or the error that it raised, pickled if it can be, and in
    words."""

    found: bytes = b""
    error: bytes | None = None
    said: str = ""


class NotOfThisRun(RuntimeError):
    """This worker is taken for lost, or its run has ended: it must write no more."""


class Refused(ValueError):
    """This process cannot be a worker of the run."""


def versions() -> dict[str, str]:
    """What must be the same on every node: scores depend on it."""
    found = {"jepa_jax": __version__, "numerics": str(NUMERICS)}
    return found | {name: version(name) for name in ("jax", "jaxlib")}


class Worker:
    """See the module. Its methods are called by one caller, one at a time."""

    def __init__(self, hello: Hello):
        self._hello = hello
        self._queue: queue.SimpleQueue[Given | None] = queue.SimpleQueue()
        self._next: Given | None = None  # The careful one that ended a stream.
        self._changed = threading.Condition()
        self._rows: list[dict[str, Any]] = []
        self._made = self._written = self._told = 0  # Rows.
        self._waits = False  # For more, with records that it has read.
        self._error: tuple[bytes | None, str] | None = None
        self._stopping = False
        self._scorers: dict[bytes, Any] = {}
        self._task: Any = None
        threading.Thread(target=self._work, daemon=True, name="work").start()

    def ready(self) -> dict[str, Any]:
        """Who and where this is. Raises `Refused` where it differs from what the run needs."""
        here, wanted = versions(), self._hello.versions
        differing = [f"{n} {here[n]}, not {wanted[n]}" for n in here if here[n] != wanted.get(n)]
        if differing:
            raise Refused(f"{socket.gethostname()} has {', '.join(differing)}")
        # Before JAX looks for devices. Ray's number of CPUs is a promise that XLA knows nothing of.
        os.environ["NPROC"] = str(self._hello.cpus)
        import jax

        if not self._hello.devices:
            jax.config.update("jax_platforms", "cpu")
        platform = jax.default_backend()
        if self._hello.devices and platform == "cpu":
            raise Refused(
                f"{socket.gethostname()}: {self._hello.devices} devices a worker are asked for, "
                "but JAX finds none there and runs on the CPU"
            )
        device = jax.local_devices()[0]
        return {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "platform": platform,
            "device": f"{device.platform}: {device.device_kind}",
            "devices": jax.local_device_count(),
            "jax": jax.__version__,
        }

    def check(self, recipe: bytes, out: str, run: str) -> dict[str, float]:
        """The device's known answers, once the scorer is made; raises `Refused` where this node
        does not see the folder `out` of the `run`, where that is given."""
        from jepa_jax.scoring.known_answers import check_device

        if out and read_status(place(out)).get("run") != run:
            raise Refused(
                f"{socket.gethostname()} does not see the folder {out} as it is on the machine "
                "that the run was started on: it must lie on a file system that all nodes share, "
                "or on an object store that they may read"
            )
        scorer = self._scorer(recipe)
        return check_device(scorer.precision, scorer.devices)

    def begin(self, recipe: bytes, task: bytes, out: str, run: str) -> None:
        """From now on, shards are of this task; those of another one are done."""
        made = pickle.loads(task)
        with self._changed:
            self._made = self._written = self._told = 0
        self._task = dataclasses.replace(
            made,
            scorer=self._scorer(recipe),
            storage=made.storage.here(),
            writing=lambda write, rows: self._writing(write, rows, place(out), run),
        )

    def call(self, recipe: bytes, function: bytes, argument: bytes) -> Answer:
        """`function(scorer, argument)`, here."""
        try:
            found = pickle.loads(function)(self._scorer(recipe), pickle.loads(argument))
            return Answer(pickle.dumps(found))
        except Exception as error:
            copy, said = _sent(error)
            return Answer(error=copy, said=said)

    def turn(self, given: bytes, close: bool) -> Turn:
        """Takes more shards (`Given`s), and returns when there is something to say.

        `close`: what is under way is finished without waiting for more.
        """
        shards: list[Given] = pickle.loads(given)
        with self._changed:
            for one in shards:
                self._queue.put(one)
            if close:
                self._queue.put(None)
            self._waits = self._waits and self._queue.empty()
            news = lambda: self._error is not None or self._waits or self._safe() > self._told
            self._changed.wait_for(news, _TURN_SECONDS)
            self._told = self._safe()
            rows, self._rows = self._rows, []
            error, said = self._error or (None, "")
            return Turn(rows, self._written, self._waits, error, said)

    def stop(self) -> None:
        """Writes what is scored, and ends the work."""
        with self._changed:
            self._stopping = True
        self._queue.put(None)
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None, 20)

    def _safe(self) -> int:
        """Rows that are both in their file and here to be told."""
        return min(self._made, self._written)

    def _scorer(self, recipe: bytes) -> Any:
        if recipe not in self._scorers:
            self._scorers[recipe] = pickle.loads(recipe).build()
        return self._scorers[recipe]

    def _work(self) -> None:
        """The thread."""
        try:
            while not self._stopping:
                first, self._next = self._next or self._queue.get(), None
                if first is not None:
                    self._done_with(first)
            raise NotOfThisRun("stopped")
        except BaseException as error:
            with self._changed:
                self._error = _sent(error)
                self._changed.notify_all()

    def _done_with(self, first: Given) -> None:
        from jepa_jax.scoring.work import Shard

        task = self._task
        if not first.care:
            task.work(task, self._stream(first), self._on_row)
            return
        task = dataclasses.replace(task, flush_seconds=_CAREFUL_SECONDS)
        alone = ONE_AT_A_TIME if first.care > 1 else 0
        parts = [[item] for item in first.items[:alone]] + [first.items[alone:]]
        for part in filter(None, parts):
            task.work(task, iter([Shard(first.index, part)]), self._on_row)

    def _stream(self, first: Given) -> Iterator[Any]:
        """Shards as they are given, until the stream is closed or a careful one comes."""
        from jepa_jax.scoring.work import Shard

        one: Given | None = first
        while one is not None and not one.care:
            yield Shard(one.index, one.items)
            one = self._more()
        self._next = one

    def _more(self) -> Given | None:
        """What comes next, which may be long in coming; it is asked for by the next turn."""
        with self._changed:
            self._waits = self._queue.empty()
            if self._waits:
                self._changed.notify_all()
        try:
            return self._queue.get(timeout=_STARVED_SECONDS)
        except queue.Empty:
            return None
        finally:
            with self._changed:
                self._waits = False

    def _on_row(self, row: dict[str, Any]) -> None:
        if self._stopping:
            raise NotOfThisRun("stopped")
        short = {name: value for name, value in row.items() if name not in LONG}
        with self._changed:
            self._rows.append(short)
            self._made += 1
            if self._made == self._written:
                self._changed.notify_all()

    def _writing(self, write: Any, rows: int, out: Place, run: str) -> None:
        status = read_status(out)
        if status.get("run") != run or self._hello.number in status.get("lost", ()):
            raise NotOfThisRun(f"{out} is another run's, or this worker is taken for lost")
        write()
        with self._changed:
            self._written += rows
            self._changed.notify_all()


def _sent(error: BaseException) -> tuple[bytes | None, str]:
    """An error as it is sent: pickled, None where that cannot be, and in words."""
    said = "".join(traceback.format_exception_only(error)).strip()
    try:
        copy = pickle.dumps(error)
        pickle.loads(copy)
    except Exception:
        copy = None
    return copy, said
