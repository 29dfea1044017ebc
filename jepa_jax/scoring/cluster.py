"""`Ray`: shards, and other work, computed by workers on the nodes of a Ray cluster.

The workers are a `Crew`; which of them gets what is decided by bookkeeping without processes
(`jepa_jax.scoring.handing_out`, of rows; `jepa_jax.scoring.calls`).
"""

import dataclasses
import functools
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from jepa_jax.data.storage import StorageFailed
from jepa_jax.object_stores import place
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.calls import Calls
from jepa_jax.scoring.cluster_crew import MOST_FAILURES, Crew, Handle
from jepa_jax.scoring.cluster_worker import Answer, Given, Turn
from jepa_jax.scoring.handing_out import HandingOut, OnLost
from jepa_jax.scoring.recipe import Recipe
from jepa_jax.scoring.reporting import Reporting
from jepa_jax.scoring.work import Shard, Task, written_here


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
        self.on_lost: OnLost = on_lost
        self._crew = Crew(address, workers, devices_per_worker, cpus_per_worker)
        self._storage_failed = 0
        self._out, self._recipe, self._run = "", b"", ""

    @property
    def workers(self) -> int | None:
        """How many are asked for."""
        return self._crew.workers

    def __enter__(self) -> "Ray":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self, scorer: BatchScorer, reporting: Reporting) -> dict[str, Any]:
        """Starts workers, and waits for one: what the manifest says of the device."""
        self._recipe = pickle.dumps(Recipe.of(scorer))
        out, self._run = reporting.out, reporting.status.run
        self._out = os.path.abspath(out) if isinstance(out, Path) else str(out)
        first = self._crew.begin(self._recipe, self._out, self._run, reporting.workers)
        return {name: first[name] for name in ("device", "jax", "known_answers")}

    def run(self, task: Task, shards: Iterable[Shard], reporting: Reporting) -> None:
        """Does all `shards`."""
        hand = HandingOut(task, shards, reporting.row, self.on_lost)
        elsewhere: dict[str, Any] = {
            "scorer": None,
            "writing": written_here,
            "out": place(self._out),
        }
        crew = self._crew
        sent = crew.cloudpickle(dataclasses.replace(task, **elsewhere))
        self._recipe = pickle.dumps(Recipe.of(task.scorer))
        try:
            # Also until the last answers are there: the next task finds workers that have ended it.
            while not hand.finished or any(h.turns for h in crew.handles):
                for handle in crew.free():
                    self._order(handle, hand, sent)
                crew.step(hand.lost)
        except BaseException:
            crew.stop()
            raise

    def map(
        self,
        scorer: BatchScorer,
        function: Callable[[BatchScorer, Any], Any],
        items: Iterable[tuple[str, Any]],
    ) -> Iterator[Any]:
        """`function(scorer, item)` of every named item, computed by the workers, in their order.

        The worker's scorer is made of `scorer`'s recipe. What a lost worker had is given to
        another. Raises what the function raises, and `WorkerDied` with the name of an item that
        three workers died of. Items are drawn as they are needed.
        """
        self._recipe = pickle.dumps(Recipe.of(scorer))
        crew = self._crew
        crew.begin(self._recipe, "", "", lambda *_: None)
        calls, sent = Calls(items), crew.cloudpickle(function)
        try:
            while True:
                for handle in crew.free():
                    if (item := calls.order(handle.number)) is None:
                        handle.state = "idle"
                        continue
                    handle.state = "working"
                    asked = handle.actor.call.remote(self._recipe, sent, crew.cloudpickle(item[0]))
                    handle.ask(asked, functools.partial(_answered, calls))
                yield from calls.answers()
                if calls.finished:
                    return
                crew.step(calls.lost)
        except BaseException:  # A caller that takes no more answers, too.
            crew.dismiss()
            raise

    def kinds(self) -> set[str]:
        """The kinds of devices that workers have had since `begin`."""
        return set(self._crew.kinds)

    def close(self) -> None:
        """Ends the workers, and Ray where it was started here."""
        self._crew.close()

    def _order(self, handle: Handle, hand: HandingOut, sent: bytes) -> None:
        """Gives a worker something to do, or asks it how far it is."""
        handle.turns = False
        if handle.task != sent:
            handle.task, handle.state = sent, "working"
            begun = handle.actor.begin.remote(self._recipe, sent, self._out, self._run)
            handle.ask(begun, lambda *_: None)  # The next step gives it shards.
            return
        order = hand.order(handle.number, handle.waits)
        if order is None:
            handle.state = "idle"
            return
        lots, close = order
        given = self._crew.cloudpickle([Given(lot.index, lot.items, lot.care) for lot in lots])
        handle.state = "working"
        handle.ask(handle.actor.turn.remote(given, close), functools.partial(self._take, hand))
        handle.turns = True

    def _take(self, hand: HandingOut, handle: Handle, turn: Turn) -> None:
        """What a worker has done since its last turn."""
        handle.turns = False
        handle.rate.add(len(turn.rows))
        handle.waits = turn.waits
        hand.report(handle.number, turn.rows, turn.written)
        if turn.rows:
            self._storage_failed = 0
        if not turn.said:
            return
        error = pickle.loads(turn.error) if turn.error else RuntimeError(turn.said)
        self._storage_failed += isinstance(error, StorageFailed)
        # What another worker, elsewhere, may not have; anything else ends the run.
        of_it = isinstance(error, (OSError, MemoryError, RuntimeError))
        if not of_it or self._storage_failed >= MOST_FAILURES:
            raise error
        self._crew.gone(handle, RuntimeError(turn.said), hand.lost)


def _answered(calls: Calls, handle: Handle, answer: Answer) -> None:
    """What the function found, or raised: that is the caller's."""
    if answer.said:
        raise pickle.loads(answer.error) if answer.error else RuntimeError(answer.said)
    calls.answered(handle.number, pickle.loads(answer.found))
