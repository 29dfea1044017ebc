"""The stages of a run, by name, for who times them (`jepa_jax.scoring.profiling`)."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

READING, PREPROCESSING = "reading and decoding", "preprocessing"
IMAGES, BATCHES = "waiting for images", "starting batches"
SCORES, ROW, WRITING = "waiting for scores", "rows and writing", "the last write"
# In several threads at once: their seconds are no part of the run's.
OF_READERS = (READING, PREPROCESSING)

Clock = Callable[[str], AbstractContextManager[None]]
# Of the process: the threads that read are none of the run's context.
_clock: Clock | None = None


def stage(name: str) -> AbstractContextManager[None]:
    """A context: what is done in it belongs to a stage."""
    return contextlib.nullcontext() if _clock is None else _clock(name)


@contextlib.contextmanager
def clocked(clock: Clock) -> Iterator[None]:
    """Within it, every stage is within `clock(name)`. `RuntimeError` where another is at work."""
    global _clock
    if _clock is not None:
        raise RuntimeError("one profile at a time in a process")
    _clock = clock
    try:
        yield
    finally:
        _clock = None
