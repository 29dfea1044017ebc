"""`Ray`: shards computed by workers on the nodes of a Ray cluster.

Ray starts processes on nodes and tells when they are gone; which worker gets what is ours
(`jepa_jax.scoring.handing_out`). A worker is never restarted by Ray: one that is lost is replaced.
"""

import contextlib
import dataclasses
import os
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jepa_jax.data.storage import StorageFailed
from jepa_jax.error_lines import first_line
from jepa_jax.object_stores import place
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.cluster_joining import join
from jepa_jax.scoring.cluster_worker import Given, Hello, Turn, Worker, versions
from jepa_jax.scoring.handing_out import HandingOut, OnLost
from jepa_jax.scoring.recipe import Recipe
from jepa_jax.scoring.reporting import Rate, Reporting
from jepa_jax.scoring.work import Shard, Task, written_here
from jepa_jax.scoring.workers import WorkerDied
from jepa_jax.store.run_status import WorkerStatus

# So many workers in a row that die before they have begun, and there is no sense in more.
_FAILED_STARTS = 3
# How often the cluster is asked for its size.
_LOOK_SECONDS = 10.0
_WAIT_SECONDS = 0.5
# How often it is told how they are.
_TELL_SECONDS = 0.25


@dataclasses.dataclass(eq=False)
class _Handle:
    """A worker as its caller has it. `call`: what it is asked at the moment; `then`: what is to be
    done with the answer, None of a turn's."""

    number: int
    actor: Any
    call: Any = None
    then: Callable[..., None] | None = None
    turns: bool = False
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    state: str = "waiting"
    task: bytes = b""
    waits: bool = False
    rate: Rate = dataclasses.field(default_factory=Rate)

    def status(self) -> WorkerStatus:
        where = ""
        if self.facts:
            where = "{host}, process {process} ({device})".format(**self.facts)
        return WorkerStatus(self.number, self.state, where, self.rate.count, self.rate.recent())


class Ray:
    """An engine: workers on a Ray cluster, each with a share of its node.

    `address`: of the cluster, as `ray.init` takes it; without one, that of `RAY_ADDRESS`, or a new
    one of this machine alone. `workers`: how many (default: as many as fit, also when the cluster
    grows). `devices_per_worker`: accelerators each (default: 1 where the cluster has any, else 0,
    the CPU); `cpus_per_worker`: cores each (default 1). `on_lost`: what is done with an image that
    three workers died of: "end" the run with its name, or "skip" it, which gives it a row of the
    status "unavailable".

    The images and the output must lie at the same paths on all nodes, and the nodes have the same
    versions. This process computes nothing: give its `Scorer` `devices=0`. A context manager;
    `close` ends the workers.

    Raises `ImportError` without the extra `jepa-jax[ray]`; where it runs, `ValueError` for an
    encoder made in memory, `WorkerDied` where no worker can begin, or an image kills them.

    >>> from jepa_jax.scoring import Ray
    >>> engine = Ray(address="local", workers=4, devices_per_worker=0)
    >>> engine.name, engine.workers
    ('ray', 4)
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        *,
        workers: int | None = None,
        devices_per_worker: int | None = None,
        cpus_per_worker: int = 1,
        on_lost: OnLost = "end",
    ):
        sizes = {"workers": workers, "cpus_per_worker": cpus_per_worker}
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")
        if devices_per_worker is not None and devices_per_worker < 0:
            raise ValueError(f"`devices_per_worker` must be at least 0, got {devices_per_worker}")
        if on_lost not in ("end", "skip"):
            raise ValueError(f"`on_lost` must be 'end' or 'skip', got {on_lost!r}")
        self.address, self.workers = address, workers
        self.on_lost: OnLost = on_lost
        self.devices_per_worker, self.cpus_per_worker = devices_per_worker, cpus_per_worker
        self._ray: Any = None
        self._began_ray = False
        self._handles: list[_Handle] = []
        self._numbers = 0
        self._refused = Counter[str]()
        self._failed = 0
        self._cause = ""
        self._lost: list[int] = []
        self._looked = self._told = -_LOOK_SECONDS
        self._storage_failed = 0
        self._wanted = 0
        self._first: dict[str, Any] | None = None  # The first worker's facts.
        self._kinds = set[str]()
        self._out, self._recipe, self._run = "", b"", ""

    def __enter__(self) -> "Ray":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self, scorer: BatchScorer, reporting: Reporting) -> dict[str, Any]:
        """Starts workers, and waits for one: what the manifest says of the device."""
        self._recipe = pickle.dumps(Recipe.of(scorer))
        out, self._run = reporting.out, reporting.status.run
        self._out = os.path.abspath(out) if isinstance(out, Path) else str(out)
        self._connect()
        # Those of a run before are asked again: whether they see this folder.
        self._first, self._kinds = None, set()
        for handle in [*self._handles]:
            if handle.facts:
                self._ask_check(handle, handle.facts)
        while self._first is None:
            self._step(reporting, None)
        return {name: self._first[name] for name in ("device", "jax", "known_answers")}

    def run(self, task: Task, shards: Iterable[Shard], reporting: Reporting) -> None:
        """Does all `shards`."""
        hand = HandingOut(task, shards, reporting.row, self.on_lost)
        elsewhere: dict[str, Any] = {
            "scorer": None,
            "writing": written_here,
            "out": place(self._out),
        }
        sent = self._cloudpickle(dataclasses.replace(task, **elsewhere))
        self._recipe = pickle.dumps(Recipe.of(task.scorer))
        try:
            # Also until the last answers are there: the next task finds workers that have ended it.
            while not hand.finished or any(h.turns for h in self._handles):
                for handle in self._handles:
                    if handle.call is None and handle.state in ("idle", "working"):
                        self._order(handle, hand, sent)
                self._step(reporting, hand)
        except BaseException:
            self._stop()
            raise

    def kinds(self) -> set[str]:
        """The kinds of devices that workers have had since `begin`."""
        return set(self._kinds)

    def close(self) -> None:
        """Ends the workers, and Ray where it was started here."""
        for handle in self._handles:
            self._kill(handle)
        self._handles.clear()
        if self._began_ray:
            self._ray.shutdown()
            self._began_ray = False
        self._ray = None

    def _connect(self) -> None:
        if self._ray is None:
            self._ray, self._began_ray = join(self.address)

    def _step(self, reporting: Reporting, hand: HandingOut | None) -> None:
        """Waits a moment for answers, and goes on with those that came."""
        self._keep_up()
        calls = {handle.call: handle for handle in self._handles if handle.call is not None}
        if calls:
            self._ray.wait([*calls], timeout=_WAIT_SECONDS)
            ready, _ = self._ray.wait([*calls], num_returns=len(calls), timeout=0)
            for call in ready:
                self._answer(calls[call], reporting, hand)
        else:
            time.sleep(_WAIT_SECONDS)
        if time.monotonic() - self._told > _TELL_SECONDS:
            self._tell(reporting)

    def _tell(self, reporting: Reporting) -> None:
        self._told = time.monotonic()
        reporting.workers([h.status() for h in self._handles], self._lost, self._note())

    def _answer(self, handle: _Handle, reporting: Reporting, hand: HandingOut | None) -> None:
        call, then, handle.call, handle.turns = handle.call, handle.then, None, False
        errors = self._ray.exceptions
        try:
            found = self._ray.get(call)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            self._refuse(handle, (str(cause) or type(cause).__name__).strip().splitlines()[-1])
            if hand is not None:
                hand.lost(handle.number, self._cause)
        except errors.RayError as error:
            self._gone(handle, error, reporting, hand)
        else:
            if then is None:
                self._take(handle, found, reporting, hand)
            else:
                then(handle, found)

    def _refuse(self, handle: _Handle, said: str) -> None:
        """A worker cannot take part; no other is started in its place, which may be the same."""
        self._drop(handle)
        self._cause = said
        self._refused[said] += 1
        if not self._handles:
            raise WorkerDied(f"no worker can take part: {said}")

    def _gone(
        self, handle: _Handle, error: Exception, reporting: Reporting, hand: HandingOut | None
    ) -> None:
        """A worker is lost, or another is to be had in its place."""
        cause = first_line(error) or type(error).__name__
        begun = handle.state in ("idle", "working")
        self._drop(handle)
        self._lost.append(handle.number)
        self._failed = 0 if begun else self._failed + 1
        self._cause = cause
        # Before others get its shards: should it live on, it writes no more.
        self._tell(reporting)
        if hand is not None:
            hand.lost(handle.number, cause)
        if self._failed >= _FAILED_STARTS:
            raise WorkerDied(
                f"{self._failed} workers one after the other died before they had begun; the last "
                f"one: {cause}"
            )

    def _take(
        self, handle: _Handle, turn: Turn, reporting: Reporting, hand: HandingOut | None
    ) -> None:
        """What a worker has done since its last turn."""
        handle.rate.add(len(turn.rows))
        handle.waits = turn.waits
        if hand is None:
            return
        hand.report(handle.number, turn.rows, turn.written)
        if turn.rows:
            self._storage_failed = 0
        if not turn.said:
            return
        error = pickle.loads(turn.error) if turn.error else RuntimeError(turn.said)
        self._storage_failed += isinstance(error, StorageFailed)
        # What another worker, elsewhere, may not have; anything else ends the run.
        of_it = isinstance(error, (OSError, MemoryError, RuntimeError))
        if not of_it or self._storage_failed >= _FAILED_STARTS:
            raise error
        self._gone(handle, RuntimeError(turn.said), reporting, hand)

    def _order(self, handle: _Handle, hand: HandingOut, sent: bytes) -> None:
        """Gives a worker something to do, or asks it how far it is."""
        if handle.task != sent:
            handle.task, handle.state = sent, "working"
            begun = handle.actor.begin.remote(self._recipe, sent, self._out, self._run)
            handle.call, handle.then = begun, _nothing
            return
        order = hand.order(handle.number, handle.waits)
        if order is None:
            handle.state = "idle"
            return
        lots, close = order
        given = self._cloudpickle([Given(lot.index, lot.items, lot.care) for lot in lots])
        handle.state = "working"
        handle.call, handle.then = handle.actor.turn.remote(given, close), None
        handle.turns = True

    def _keep_up(self) -> None:
        """Starts workers until there are as many as are wanted."""
        now = time.monotonic()
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self._wanted = max(self._wanted, self.workers or self._fitting())
        while len(self._handles) < self._wanted - sum(self._refused.values()):
            self._start()
        if not self._handles and not self._wanted:
            raise ValueError(
                f"no worker fits into the cluster: each needs {self._resources()}, it has "
                f"{self._ray.cluster_resources()}"
            )

    def _fitting(self) -> int:
        """How many workers the nodes have room for."""
        needs = self._resources()
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(
            int(min(node.get(name, 0) // amount for name, amount in needs.items() if amount))
            for node in nodes
        )

    def _resources(self) -> dict[str, int]:
        """What a worker needs, by Ray's names."""
        has = self._ray.cluster_resources()
        kind = "TPU" if has.get("TPU") else "GPU"
        if self.devices_per_worker is None:
            self.devices_per_worker = 1 if has.get(kind) else 0
        devices = {kind: self.devices_per_worker} if self.devices_per_worker else {}
        return {"CPU": self.cpus_per_worker} | devices

    def _start(self) -> None:
        needs = self._resources()
        self._numbers += 1
        hello = Hello(self._numbers, versions(), self.cpus_per_worker, self.devices_per_worker or 0)
        actor = (
            self._ray.remote(Worker)
            .options(
                num_cpus=needs["CPU"],
                num_gpus=needs.get("GPU", 0),
                resources={"TPU": needs["TPU"]} if "TPU" in needs else None,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote(hello)
        )
        handle = _Handle(self._numbers, actor)
        handle.call, handle.then = actor.ready.remote(), self._ask_check
        self._handles.append(handle)

    def _ask_check(self, handle: _Handle, facts: dict[str, Any]) -> None:
        """It is there: what it computes is checked, and what it sees."""
        first = self._first or facts
        if facts["platform"] != first["platform"]:
            said = f"{facts['host']} runs on {facts['device']}, where the run has {first['device']}"
            self._refuse(handle, said)
            return
        handle.facts, handle.state = facts, "starting"
        handle.call = handle.actor.check.remote(self._recipe, self._out, self._run)
        handle.then = self._is_ready

    def _is_ready(self, handle: _Handle, known_answers: dict[str, float]) -> None:
        handle.state, self._failed = "idle", 0
        if self._first is None:
            self._first = handle.facts | {"known_answers": known_answers}
        self._kinds.add(handle.facts["device"])

    def _note(self) -> str:
        """What a user should know of the workers, in words."""
        notes = [f"{count} refused: {said}" for said, count in self._refused.items()]
        waiting = sum(h.state == "waiting" for h in self._handles)
        if waiting:
            notes.append(f"{waiting} wait for a place in the cluster, or are being started")
        if self._lost:
            notes.append(f"{len(self._lost)} were lost, the last one: {self._cause}")
        return "; ".join(notes)

    def _drop(self, handle: _Handle) -> None:
        # Lost or not: nothing must be left of it where another takes its place.
        self._kill(handle)
        self._handles.remove(handle)

    def _kill(self, handle: _Handle) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(handle.actor, no_restart=True)

    def _stop(self) -> None:
        """The run ends before its end: workers write what they have, and are ended."""
        calls = [h.actor.stop.remote() for h in self._handles if h.state == "working"]
        with contextlib.suppress(Exception):
            self._ray.wait(calls, num_returns=len(calls), timeout=25)
        for handle in [*self._handles]:
            self._drop(handle)

    def _cloudpickle(self, what: Any) -> bytes:
        """Also of functions of a user's own script."""
        return self._ray.cloudpickle.dumps(what)


def _nothing(handle: _Handle, found: Any) -> None:
    """It has begun: the next step gives it shards."""
