"""How much memory decoded images may take, over all threads."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

DECODED_BYTES = 1 << 30
"""What images being decoded may take together: 1 GiB. One image may always be decoded."""


class MemoryBudget:
    """Bytes that threads take and give back; who finds too few left waits, first come first served.

    Whoever asks while nothing is taken gets what is asked for, even beyond `limit`, and so does a
    thread that asks again inside of its `hold`: neither could wait for anyone else.

    >>> budget = MemoryBudget(100)
    >>> with budget.hold(), budget.taking(70):
    ...     with budget.taking(70):
    ...         budget.taken
    140
    >>> budget.taken
    0
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.taken = limit, 0
        self._changed = threading.Condition()
        self._turns: deque[object] = deque()
        self._mine = threading.local()

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Takes `size` bytes, and gives them back at the end, or at that of the `hold` around."""
        held: list[int] | None = getattr(self._mine, "held", None)
        self._take(size, waits=not held)
        if held is not None:
            held.append(size)
        try:
            yield
        finally:
            if held is None:
                self._give(size)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """What this thread takes inside is given back at the end of it: the image lives so long."""
        if getattr(self._mine, "held", None) is not None:
            yield
            return
        self._mine.held = []
        try:
            yield
        finally:
            sizes, self._mine.held = self._mine.held, None
            self._give(sum(sizes))

    def _take(self, size: int, waits: bool) -> None:
        turn = object()
        with self._changed:
            if waits:
                self._turns.append(turn)
                try:
                    self._changed.wait_for(
                        lambda: (
                            self._turns[0] is turn
                            and (not self.taken or self.taken + size <= self.limit)
                        )
                    )
                finally:
                    self._turns.remove(turn)
                    self._changed.notify_all()
            self.taken += size

    def _give(self, size: int) -> None:
        if size >= self.limit // 16:
            _trim()
        with self._changed:
            self.taken -= size
            self._changed.notify_all()


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # Not the GNU C library.
        return None


def _trim() -> None:
    """Gives freed memory back to the system: the C library keeps it for each thread apart, and
    eight threads would keep eight images."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


DECODING = MemoryBudget(DECODED_BYTES)
"""The budget of `jepa_jax.data.decode`."""
