"""Which worker computes which of many independent calls, and what becomes of a lost worker's."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from jepa_jax.scoring.workers import WorkerDied

_DEATHS = 3
# So many calls for each worker are drawn before the oldest one's answer is there.
_AHEAD = 4


@dataclasses.dataclass(eq=False)
class _Call:
    place: int
    name: str
    item: Any
    deaths: int = 0


class Calls:
    """The bookkeeping of an engine's `map`, without processes: what it is told decides everything.

    `items`: named ones, drawn as they are needed; workers are called by any hashable name. Raises
    `WorkerDied` with the name of an item that three workers died of.

    >>> calls = Calls([("a", 1), ("b", 2)])
    >>> calls.order("first"), calls.order("second"), calls.order("third")
    ((1,), (2,), None)
    >>> calls.answered("second", "two")
    >>> calls.lost("first", "power cut")
    >>> [*calls.answers()], calls.order("second")  # "two" waits for its turn.
    ([], (1,))
    >>> calls.answered("second", "one")
    >>> [*calls.answers()], calls.finished
    (['one', 'two'], True)
    """

    def __init__(self, items: Iterable[tuple[str, Any]]):
        self._items: Iterator[tuple[str, Any]] | None = iter(items)
        self._drawn = self._told = 0
        self._again = deque[_Call]()
        self._under_way: dict[Any, _Call] = {}
        self._answers: dict[int, Any] = {}

    @property
    def finished(self) -> bool:
        """Whether all answers were told."""
        waits = self._under_way or self._again or self._answers
        return self._items is None and not waits

    def order(self, worker: Any) -> tuple[Any] | None:
        """An item for a worker that has none, in a tuple; None where there is nothing to do."""
        call = self._again.popleft() if self._again else self._next()
        if call is None:
            return None
        self._under_way[worker] = call
        return (call.item,)

    def answered(self, worker: Any, found: Any) -> None:
        """What a worker's item gave."""
        self._answers[self._under_way.pop(worker).place] = found

    def lost(self, worker: Any, cause: str) -> None:
        """A worker is gone: what it had is another's."""
        call = self._under_way.pop(worker, None)
        if call is None:
            return
        call.deaths += 1
        if call.deaths >= _DEATHS:
            raise WorkerDied(f"{call.deaths} workers died at {call.name}; the last one: {cause}")
        self._again.append(call)

    def answers(self) -> Iterator[Any]:
        """Those that are there and not told yet, as far as they are in the order of the items."""
        while self._told in self._answers:
            yield self._answers.pop(self._told)
            self._told += 1

    def _next(self) -> _Call | None:
        if self._items is None or self._drawn - self._told >= _AHEAD * (1 + len(self._under_way)):
            return None
        found = next(self._items, None)
        if found is None:
            self._items = None
            return None
        self._drawn += 1
        return _Call(self._drawn - 1, *found)
