"""The workers of a Ray cluster: started, checked, asked, and replaced when they are lost.

Ray starts processes on nodes and tells when they are gone. A worker is never restarted by Ray: one
that is lost is replaced.
"""

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from jepa_jax.error_lines import first_line
from jepa_jax.scoring.cluster_joining import join
from jepa_jax.scoring.cluster_worker import Hello, Worker, versions
from jepa_jax.scoring.reporting import Rate
from jepa_jax.scoring.workers import WorkerDied
from jepa_jax.store.run_status import WorkerStatus

MOST_FAILURES = 3
"""So many workers in a row that die before they have begun, and there is no sense in more."""

# How often the cluster is asked for its size.
_LOOK_SECONDS = 10.0
_WAIT_SECONDS = 0.5
# How often it is told how they are.
_TELL_SECONDS = 0.25

Tell = Callable[[list[WorkerStatus], list[int], str], None]
"""Is told how the workers are, the numbers of those that are lost, and what else to know."""

Lost = Callable[[int, str], None]
"""Is told the number of a worker that is gone, and why."""


@dataclasses.dataclass(eq=False)
class Handle:
    """A worker as its caller has it. `call`: what it is asked at the moment; `then`: what is to be
    done with the answer. `state`: "waiting" for a place, "starting", "idle" or "working"."""

    number: int
    actor: Any
    call: Any = None
    then: "Callable[[Handle, Any], None] | None" = None
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    state: str = "waiting"
    task: bytes = b""
    waits: bool = False
    turns: bool = False
    rate: Rate = dataclasses.field(default_factory=Rate)

    def ask(self, call: Any, then: "Callable[[Handle, Any], None]") -> None:
        """Notes what it is asked."""
        self.call, self.then = call, then

    def status(self) -> WorkerStatus:
        """As it is told."""
        where = ""
        if self.facts:
            where = "{host}, process {process} ({device})".format(**self.facts)
        return WorkerStatus(self.number, self.state, where, self.rate.count, self.rate.recent())


class Crew:
    """As many workers as are wanted and fit, each of a share of its node; see `Ray`.

    Raises `ValueError` where none fits, `WorkerDied` where none can begin.
    """

    def __init__(
        self,
        address: str | None,
        workers: int | None,
        devices_per_worker: int | None,
        cpus_per_worker: int,
    ):
        self.address, self.workers = address, workers
        self.devices_per_worker, self.cpus_per_worker = devices_per_worker, cpus_per_worker
        self.handles: list[Handle] = []
        self.kinds = set[str]()
        self._ray: Any = None
        self._began_ray = False
        self._numbers = 0
        self._refused = Counter[str]()
        self._failed = 0
        self._cause = ""
        self._lost: list[int] = []
        self._looked = self._told = -_LOOK_SECONDS
        self._wanted = 0
        self._first: dict[str, Any] | None = None  # The first worker's facts.
        self._tell: Tell = lambda *_: None
        self._recipe, self._out, self._run = b"", "", ""

    def begin(self, recipe: bytes, out: str, run: str, tell: Tell) -> dict[str, Any]:
        """Starts workers for the `run` of the folder `out`, "" where there is none, and waits for
        one: its facts."""
        self._recipe, self._out, self._run, self._tell = recipe, out, run, tell
        if self._ray is None:
            self._ray, self._began_ray = join(self.address)
        # Those of a run before are asked again: whether they see this folder.
        self._first, self.kinds = None, set()
        for handle in [*self.handles]:
            if handle.facts:
                self._ask_check(handle, handle.facts)
        while self._first is None:
            self.step(lambda *_: None)
        return self._first

    def free(self) -> list[Handle]:
        """Those that may be asked something."""
        return [h for h in self.handles if h.call is None and h.state in ("idle", "working")]

    def step(self, lost: Lost) -> None:
        """Waits a moment for answers, and goes on with those that came."""
        self._keep_up()
        calls = {handle.call: handle for handle in self.handles if handle.call is not None}
        if calls:
            self._ray.wait([*calls], timeout=_WAIT_SECONDS)
            ready, _ = self._ray.wait([*calls], num_returns=len(calls), timeout=0)
            for call in ready:
                self._answer(calls[call], lost)
        else:
            time.sleep(_WAIT_SECONDS)
        if time.monotonic() - self._told > _TELL_SECONDS:
            self._say()

    def gone(self, handle: Handle, error: Exception, lost: Lost) -> None:
        """A worker is lost, or another is to be had in its place."""
        cause = first_line(error) or type(error).__name__
        begun = handle.state in ("idle", "working")
        self._drop(handle)
        self._lost.append(handle.number)
        self._failed = 0 if begun else self._failed + 1
        self._cause = cause
        # Before others get its shards: should it live on, it writes no more.
        self._say()
        lost(handle.number, cause)
        if self._failed >= MOST_FAILURES:
            raise WorkerDied(
                f"{self._failed} workers one after the other died before they had begun; the last "
                f"one: {cause}"
            )

    def stop(self) -> None:
        """The work ends before its end: workers write what they have, and are ended."""
        calls = [h.actor.stop.remote() for h in self.handles if h.state == "working"]
        with contextlib.suppress(Exception):
            self._ray.wait(calls, num_returns=len(calls), timeout=25)
        self.dismiss()

    def dismiss(self) -> None:
        """Ends the workers as they are."""
        for handle in [*self.handles]:
            self._drop(handle)

    def close(self) -> None:
        """Ends the workers, and Ray where it was started here."""
        self.dismiss()
        if self._began_ray:
            self._ray.shutdown()
            self._began_ray = False
        self._ray = None

    def cloudpickle(self, what: Any) -> bytes:
        """Also of functions of a user's own script."""
        return self._ray.cloudpickle.dumps(what)

    def _say(self) -> None:
        self._told = time.monotonic()
        self._tell([h.status() for h in self.handles], self._lost, self._note())

    def _answer(self, handle: Handle, lost: Lost) -> None:
        call, then, handle.call = handle.call, handle.then, None
        errors = self._ray.exceptions
        try:
            found = self._ray.get(call)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            self._refuse(handle, (str(cause) or type(cause).__name__).strip().splitlines()[-1])
            lost(handle.number, self._cause)
        except errors.RayError as error:
            self.gone(handle, error, lost)
        else:
            if then is not None:
                then(handle, found)

    def _refuse(self, handle: Handle, said: str) -> None:
        """A worker cannot take part; no other is started in its place, which may be the same."""
        self._drop(handle)
        self._cause = said
        self._refused[said] += 1
        if not self.handles:
            raise WorkerDied(f"no worker can take part: {said}")

    def _keep_up(self) -> None:
        """Starts workers until there are as many as are wanted."""
        now = time.monotonic()
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self._wanted = max(self._wanted, self.workers or self._fitting())
        while len(self.handles) < self._wanted - sum(self._refused.values()):
            self._start()
        if not self.handles and not self._wanted:
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
        handle = Handle(self._numbers, actor)
        handle.ask(actor.ready.remote(), self._ask_check)
        self.handles.append(handle)

    def _ask_check(self, handle: Handle, facts: dict[str, Any]) -> None:
        """It is there: what it computes is checked, and what it sees."""
        first = self._first or facts
        if facts["platform"] != first["platform"]:
            said = f"{facts['host']} runs on {facts['device']}, where the run has {first['device']}"
            self._refuse(handle, said)
            return
        handle.facts, handle.state = facts, "starting"
        handle.ask(handle.actor.check.remote(self._recipe, self._out, self._run), self._is_ready)

    def _is_ready(self, handle: Handle, known_answers: dict[str, float]) -> None:
        handle.state, self._failed = "idle", 0
        if self._first is None:
            self._first = handle.facts | {"known_answers": known_answers}
        self.kinds.add(handle.facts["device"])

    def _note(self) -> str:
        """What a user should know of the workers, in words."""
        notes = [f"{count} refused: {said}" for said, count in self._refused.items()]
        waiting = sum(h.state == "waiting" for h in self.handles)
        if waiting:
            notes.append(f"{waiting} wait for a place in the cluster, or are being started")
        if self._lost:
            notes.append(f"{len(self._lost)} were lost, the last one: {self._cause}")
        return "; ".join(notes)

    def _drop(self, handle: Handle) -> None:
        # Lost or not: nothing must be left of it where another takes its place.
        self._kill(handle)
        self.handles.remove(handle)

    def _kill(self, handle: Handle) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(handle.actor, no_restart=True)
