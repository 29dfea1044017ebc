"""From a stream of records to a stream of scores: read ahead in threads, batched, in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from jepa_jax.data import Record
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.rows import Prepared
from jepa_jax.scoring.scores import Scores, map_columns

# The most items that wait for a batch to fill: unreadable ones add nothing to it.
MOST_WAITING = 256


def ahead(
    records: Iterable[Record], work: Callable[[Record], Prepared], workers: int, most: int
) -> Generator[Prepared, None, None]:
    """`work` of every record in order, some of it done ahead of time in threads.

    At most `most` records are under way: memory does not depend on how far the source runs.
    """
    pending: deque[Future[Prepared]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        for record in records:
            pending.append(pool.submit(work, record))
            if len(pending) >= most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def scored(
    scorer: BatchScorer, prepared: Iterable[Prepared]
) -> Iterator[tuple[Prepared, Scores | None]]:
    """Every item with the scores of its views, in order.

    Views of neighbouring items share batches. Batches are under way while the next is gathered.
    """
    batch_size: int | None = None
    waiting: deque[Prepared] = deque()  # Items in order, scored or not.
    parts: deque[Scores] = deque()  # Scores of their views, in order, one view each.
    inputs: list[np.ndarray] = []
    names: list[str] = []
    under_way: deque[Callable[[], Scores]] = deque()

    def advance(final: bool) -> None:
        """Starts the batch gathered and waits for the oldest ones; for all of them if `final`."""
        nonlocal inputs, names
        if inputs:
            under_way.append(scorer.dispatch(np.stack(inputs), names))
        inputs, names = [], []
        while len(under_way) >= (1 if final else scorer.in_flight):
            parts.extend(_rows_of(under_way.popleft()()))

    def ready() -> Iterator[tuple[Prepared, Scores | None]]:
        while waiting and len(parts) >= len(waiting[0].inputs):
            item = waiting.popleft()
            views = [parts.popleft() for _ in item.inputs]
            yield item, map_columns(np.concatenate, views) if views else None

    for item in prepared:
        waiting.append(item)
        for view, image in enumerate(item.inputs):
            if batch_size is None:
                batch_size = scorer.plan(*image.shape[:2]).batch
            inputs.append(image)
            names.append(f"{item.record.id}/{view}")
            if len(inputs) == batch_size:
                advance(final=False)
        if len(waiting) > MOST_WAITING:
            advance(final=True)
        yield from ready()
    advance(final=True)
    yield from ready()


def _rows_of(scores: Scores) -> Iterator[Scores]:
    """One `Scores` of length 1 for each of N."""
    for i in range(len(scores.jepa_score)):
        yield map_columns(lambda columns, i=i: columns[0][i : i + 1], [scores])
