"""From a stream of records to a stream of scores: read ahead in threads, batched, in order."""

import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from jepa_jax.data import Record
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.rows import Prepared
from jepa_jax.scoring.scores import Scores, map_columns
from jepa_jax.scoring.stages import BATCHES, IMAGES, SCORES, stage

# The most items that wait for a batch to fill: unreadable ones add nothing to it.
MOST_WAITING = 256
# The most sizes of inputs in one run, where preprocessing does not make them one.
MOST_SIZES = 64


def ahead(
    records: Iterable[Record], work: Callable[[Record], Prepared], workers: int, most: int
) -> Generator[Prepared, None, None]:
    """`work` of every record in order, some of it done ahead of time in threads.

    At most `most` records are under way: memory does not depend on how far the source runs.
    """
    pending: deque[Future[Prepared]] = deque()

    def first() -> Prepared:
        with stage(IMAGES):
            return pending.popleft().result()

    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        for record in records:
            pending.append(pool.submit(work, record))
            if len(pending) >= most:
                yield first()
        while pending:
            yield first()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def scored(
    scorer: BatchScorer, prepared: Iterable[Prepared]
) -> Iterator[tuple[Prepared, Scores | None]]:
    """Every item with the scores of its views, in order.

    Views of neighbouring items that have the same size share batches. Batches are under way while
    the next is gathered. Every size is compiled for, and costs a batch where few items have it: an
    item of one more than `MOST_SIZES` sizes has an error instead of scores.
    """
    waiting: deque[_Item] = deque()  # In order, scored or not.
    gathered: dict[tuple[int, ...], _Batch] = {}  # By size, one of each.
    under_way: deque[tuple[_Batch, Callable[[], Scores]]] = deque()

    def start(size: tuple[int, ...]) -> None:
        """Starts the batch of a size."""
        batch, gathered[size] = gathered[size], _Batch()
        if batch.inputs:
            with stage(BATCHES):
                under_way.append((batch, scorer.dispatch(np.stack(batch.inputs), batch.names)))
        wait(most=scorer.in_flight - 1)

    def wait(most: int) -> None:
        """Waits for the oldest batches, until so many are under way."""
        while len(under_way) > most:
            batch, scores = under_way.popleft()
            with stage(SCORES):
                found = scores()
            for (item, view), of_view in zip(batch.places, _rows_of(found), strict=True):
                item.views[view] = of_view

    def finish() -> None:
        """Starts what is gathered, and waits for all of it."""
        for size in gathered:
            start(size)
        wait(most=0)

    def ready() -> Iterator[tuple[Prepared, Scores | None]]:
        while waiting and all(scores is not None for scores in waiting[0].views):
            item = waiting.popleft()
            views = [scores for scores in item.views if scores is not None]
            yield item.prepared, map_columns(np.concatenate, views) if views else None

    for item in prepared:
        sizes = {image.shape for image in item.inputs} - gathered.keys()
        if sizes and len(gathered) + len(sizes) > MOST_SIZES:
            item = dataclasses.replace(
                item, inputs=[], status="unreadable", error=_one_size_too_many(sizes.pop())
            )
        waiting.append(_Item(item, [None] * len(item.inputs)))
        for view, image in enumerate(item.inputs):
            batch = gathered.setdefault(image.shape, _Batch())
            batch.inputs.append(image)
            batch.names.append(f"{item.record.id}/{view}")
            batch.places.append((waiting[-1], view))
            if len(batch.inputs) == scorer.batch(*image.shape[:2]):
                start(image.shape)
        if len(waiting) > MOST_WAITING:
            finish()
        yield from ready()
    finish()
    yield from ready()


@dataclasses.dataclass(eq=False)
class _Item:
    """An item, and the scores of its views as far as they are there."""

    prepared: Prepared
    views: list[Scores | None]


@dataclasses.dataclass(eq=False)
class _Batch:
    """Inputs of one size, their names, and whose views they are."""

    inputs: list[np.ndarray] = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)
    places: list[tuple[_Item, int]] = dataclasses.field(default_factory=list)


def _one_size_too_many(size: tuple[int, ...]) -> str:
    return (
        f"ValueError: an input of {size[1]} x {size[0]} pixels, after {MOST_SIZES} other sizes in "
        "this run: each is compiled for, and more are not; an image size (--image-size) makes "
        "inputs of one size"
    )


def _rows_of(scores: Scores) -> Iterator[Scores]:
    """One `Scores` of length 1 for each of N."""
    for i in range(len(scores.jepa_score)):
        yield map_columns(lambda columns, i=i: columns[0][i : i + 1], [scores])
