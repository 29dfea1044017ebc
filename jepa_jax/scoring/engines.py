"""Where shards are computed. An engine decides nothing else: what one began another can finish."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import jax

from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.known_answers import check_device
from jepa_jax.scoring.reporting import Reporting
from jepa_jax.scoring.work import Shard, Task


@runtime_checkable
class Engine(Protocol):
    """Runs tasks over shards.

    The caller alone holds the folder's lock, its manifest, the source and the choice of what to
    refine; workers of an engine only do shards.
    """

    name: str

    def begin(self, scorer: BatchScorer, reporting: Reporting) -> dict[str, Any]:
        """Makes ready for the tasks of one run; returns what its manifest notes of the devices."""
        ...

    def run(self, task: Task, shards: Iterable[Shard], reporting: Reporting) -> None:
        """Does all `shards`; `reporting.row` is called in this process for every row once.

        Whatever that raises, rows that are done stay in their files.
        """
        ...

    def kinds(self) -> set[str]:
        """The kinds of devices that have computed since `begin`."""
        ...


@runtime_checkable
class MapEngine(Protocol):
    """An engine that computes functions too, beside the shards of a run."""

    def map(
        self,
        scorer: BatchScorer,
        function: Callable[[BatchScorer, Any], Any],
        items: Iterable[tuple[str, Any]],
    ) -> Iterator[Any]:
        """`function(scorer, item)` of every named item, in their order."""
        ...

    def kinds(self) -> set[str]:
        """The kinds of devices that have computed it."""
        ...


class Local:
    """This process and its devices, with the scorer's worker processes if it has any."""

    name = "local"

    def __init__(self) -> None:
        self._kind = ""

    def begin(self, scorer: BatchScorer, reporting: Reporting) -> dict[str, Any]:
        """The known answers of this process's devices."""
        devices = scorer.devices
        if not devices.count:
            raise ValueError("`devices` is 0, for an engine elsewhere: give `engine` or devices")
        self._kind = devices.kind
        facts = {
            "device": devices.kind,
            "jax": jax.__version__,
            "known_answers": check_device(scorer.precision, devices),
        }
        return facts | ({"devices": devices.count} if devices.count > 1 else {})

    def run(self, task: Task, shards: Iterable[Shard], reporting: Reporting) -> None:
        """All shards, one stream of batches through them."""
        task.work(task, shards, reporting.row)

    def kinds(self) -> set[str]:
        """That of this process's devices."""
        return {self._kind}
