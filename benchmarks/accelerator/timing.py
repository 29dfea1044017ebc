"""Seconds of something that is done again and again."""

import statistics
import time
from collections.abc import Callable


def seconds_of(work: Callable[[], object], left: Callable[[], float], repeats: int = 5) -> dict:
    """The median of `repeats` times, after a first that does not count; of fewer where the time
    that is left would not be enough for them."""
    work()
    found: list[float] = []
    while len(found) < repeats:
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
        if left() < 2 * found[-1]:
            break
    return {"seconds": statistics.median(found), "all_seconds": found}


def error_of(error: BaseException) -> str:
    """What went wrong, in a line that a table can hold."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"
