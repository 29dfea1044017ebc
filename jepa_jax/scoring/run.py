"""Scores of a stream of images, shard by shard, resumable at any point."""

import dataclasses
import datetime
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jepa_jax.data import Record, Source, open_source
from jepa_jax.scoring import rows as row_making
from jepa_jax.scoring import shards
from jepa_jax.scoring.rows import GROUPS, Prepared
from jepa_jax.scoring.scorer import Scorer, Scores, _map_columns

# What a killed run may lose: rows are written when a shard is full, or after this many seconds.
FLUSH_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run did. `counts`: rows by status, of this run; `resumed`: rows found done."""

    out: Path
    counts: dict[str, int]
    resumed: int
    seconds: float

    @property
    def scored(self) -> int:
        """Rows that this run added."""
        return sum(self.counts.values())


def run(
    scorer: Scorer,
    source: Any,
    out: str | Path,
    *,
    views: int = 1,
    store: Iterable[str] = (),
    limit: int | None = None,
    shard_size: int = 1024,
    workers: int = 8,
    on_start: Callable[[int | None, int], None] | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> Summary:
    """Scores every image of `source` into the folder `out`: one row an input, whatever happens.

    `source`: whatever `jepa_jax.data.open_source` takes. `views`: 1 for the image itself, N for
    Eq. 4 over N random views (column `views`). `store`: groups of columns, of "embedding",
    "spectrum" (65 quantiles of log sigma) and "image" (size, bits per pixel). `limit`: the first
    so many images. `shard_size`: rows a Parquet file. `workers`: threads that read and preprocess.
    `on_start(total, done)` and `on_row(row)` report progress.

    The folder gets a manifest and one Parquet file a shard, each replaced atomically, at the
    latest every 30 seconds. A rerun with the same settings continues: rows that are there are
    kept, whether their image could be read or not. Memory does not grow with the number of images.

    Raises `ValueError` on settings that differ from the folder's (showing both), on a source
    whose images are no longer those of the folder's rows, and on settings that make no sense.

    >>> import tempfile, numpy as np
    >>> from PIL import Image
    >>> from jepa_jax import Exact, Scorer, load_encoder
    >>> from jepa_jax.data import Record
    >>> records = [Record(c, "colours", lambda c=c: Image.new("RGB", (9, 9), c)) for c in ("red",)]
    >>> scorer = Scorer(load_encoder("embedded"), Exact())
    >>> summary = scorer.run(records, tempfile.mkdtemp())
    >>> summary.counts
    {'ok': 1}
    """
    started = time.monotonic()
    out, store = Path(out), tuple(dict.fromkeys(store))
    _check(views, store, limit, shard_size, workers)
    scorer = _with_spectrum(scorer, store)
    opened = open_source(source)
    groups = store + (("views",) if views > 1 else ())
    columns = shards.schema(groups)
    settings = describe(scorer, opened, views, store, shard_size)
    counts: Counter[str] = Counter()

    with shards.locked(out):
        shards.check_manifest(out, settings, _facts(scorer))
        todo = _Todo(opened, out, shard_size, limit)
        total = opened.count()
        if on_start is not None:
            done = sum(len(shards.read_ids(path)) for path in shards.shard_paths(out))
            on_start(total if limit is None or total is None else min(total, limit), done)
        describe_image = "image" in store
        prepared = _ahead(
            todo,
            lambda record: row_making.prepare(
                record, scorer.encoder, views=views, seed=scorer.seed, describe=describe_image
            ),
            workers,
        )
        writer = _Writer(out, shard_size, columns, todo)
        method = type(scorer.estimator).__name__.lower()
        try:
            for item, scores in _scored(scorer, prepared):
                row = row_making.make_row(item, scores, method=method, store=store)
                counts[row["status"]] += 1
                writer.add(row)
                if on_row is not None:
                    on_row(row)
        finally:
            # Also after Ctrl-C or a failure: what is scored is kept.
            writer.flush()
            prepared.close()
    return Summary(out, dict(counts), todo.resumed, time.monotonic() - started)


def describe(
    scorer: Scorer, source: Source, views: int, store: tuple[str, ...], shard_size: int
) -> dict[str, Any]:
    """The settings that the manifest locks."""
    from jepa_jax import __version__

    encoder = scorer.encoder
    estimator: Any = scorer.estimator  # A dataclass, as `Estimator` says.
    return {
        "version": __version__,
        "source": source.name,
        "encoder": {
            "fingerprint": encoder.fingerprint,
            "embedding": str(encoder.rule),
            "image_size": encoder.image_size,
        },
        "estimator": {"method": type(estimator).__name__.lower(), **dataclasses.asdict(estimator)},
        "precision": scorer.precision,
        "views": views,
        "seed": scorer.seed,
        "store": list(store),
        "shard_size": shard_size,
    }


def _facts(scorer: Scorer) -> dict[str, Any]:
    """What the manifest records and does not lock."""
    device = jax.devices()[0]
    return {
        "encoder": scorer.encoder.name,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": f"{device.platform}: {device.device_kind}",
        "jax": jax.__version__,
    }


def _check(
    views: int, store: tuple[str, ...], limit: int | None, shard_size: int, workers: int
) -> None:
    for name, value in (("views", views), ("shard_size", shard_size), ("workers", workers)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}")
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be at least 1, got {limit}")
    unknown = [group for group in store if group not in GROUPS]
    if unknown:
        raise ValueError(f"`store` must be of {GROUPS}, got {unknown}")
    if views > 1 and {"embedding", "spectrum"} & set(store):
        raise ValueError(
            "`store` of 'embedding' or 'spectrum' needs `views=1`: several views have several"
        )


def _with_spectrum(scorer: Scorer, store: tuple[str, ...]) -> Scorer:
    """A scorer whose estimator returns the singular values, where they are to be stored."""
    if "spectrum" not in store:
        return scorer
    if not hasattr(scorer.estimator, "spectrum"):
        name = type(scorer.estimator).__name__
        raise ValueError(f"`store` 'spectrum' needs an exact method, got {name}")
    estimator: Any = scorer.estimator  # A dataclass, as `Estimator` says.
    return Scorer(
        scorer.encoder,
        dataclasses.replace(estimator, spectrum=True),
        precision=scorer.precision,
        batch_size=scorer.batch_size,
        chunk=scorer.chunk,
        seed=scorer.seed,
    )


class _Todo:
    """The records that have no row yet, in order, after checking those that have one.

    A shard that is there must hold the ids that the source gives at its place; it may hold fewer
    than a full shard, and is then continued (`unfinished`).
    """

    def __init__(self, source: Source, out: Path, shard_size: int, limit: int | None):
        self.source, self.out, self.shard_size, self.limit = source, out, shard_size, limit
        self.resumed = 0
        self.unfinished: dict[int, Path] = {}

    def __iter__(self) -> Iterator[Record]:
        records = itertools.islice(iter(self.source), self.limit)
        for index in itertools.count():
            path = shards.shard_path(self.out, index)
            shard = itertools.islice(records, self.shard_size)
            done = shards.read_ids(path) if path.exists() else []
            for expected in done:
                record = next(shard, None)
                if record is None and self.limit is not None:
                    return  # A smaller limit than before: its rows are all there.
                if record is None or record.id != expected:
                    found = "no more images" if record is None else f"{record.id!r}"
                    raise ValueError(
                        f"{self.source.name} has changed since {path} was written: that has "
                        f"{expected!r} where the source now has {found}; give another output folder"
                    )
                self.resumed += 1
            if 0 < len(done) < self.shard_size:
                self.unfinished[index] = path
            first = next(shard, None) if len(done) < self.shard_size else None
            if first is not None:
                yield first
                yield from shard
            elif len(done) < self.shard_size:
                return


class _Writer:
    """Rows into shards, in the order of the records, from where an earlier run stopped."""

    def __init__(self, out: Path, shard_size: int, columns, todo: _Todo):
        self.out, self.shard_size, self.columns, self.todo = out, shard_size, columns, todo
        self.rows: list[dict[str, Any]] = []
        self.index: int | None = None
        self.flushed = time.monotonic()
        self.unwritten = 0

    def add(self, row: dict[str, Any]) -> None:
        if self.index is None:
            self._open()
        self.rows.append(row)
        self.unwritten += 1
        if len(self.rows) == self.shard_size:
            self.flush()
            self.rows, self.index = [], None
        elif time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def _open(self) -> None:
        """The first shard that is not full: shards before it were full when they were passed."""
        index = 0
        while shards.shard_path(self.out, index).exists() and index not in self.todo.unfinished:
            index += 1
        path = self.todo.unfinished.pop(index, None)
        self.rows = shards.read_rows(path) if path is not None else []
        self.index = index

    def flush(self) -> None:
        if self.unwritten and self.index is not None:
            shards.write_rows(shards.shard_path(self.out, self.index), self.rows, self.columns)
            self.unwritten = 0
        self.flushed = time.monotonic()


def _ahead(
    records: Iterable[Record], work: Callable[[Record], Prepared], workers: int
) -> Generator[Prepared, None, None]:
    """`work` of every record in order, some of it done ahead of time in threads.

    What is under way is bounded: memory does not depend on how far the source runs.
    """
    pending: deque[Future[Prepared]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        for record in records:
            pending.append(pool.submit(work, record))
            if len(pending) >= 3 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _scored(
    scorer: Scorer, prepared: Iterable[Prepared]
) -> Iterator[tuple[Prepared, Scores | None]]:
    """Every item with the scores of its views, in order.

    Views of neighbouring items share batches. One batch is under way while the next is gathered.
    """
    batch_size: int | None = None
    waiting: deque[Prepared] = deque()  # Items in order, scored or not.
    parts: deque[Scores] = deque()  # Scores of their views, in order, one view each.
    inputs: list[np.ndarray] = []
    names: list[str] = []
    under_way = None

    def advance(final: bool):
        """Collects the batch under way and starts the one that is gathered."""
        nonlocal under_way, inputs, names
        started = scorer.dispatch(np.stack(inputs), names) if inputs else None
        inputs, names = [], []
        for batch in (under_way, started) if final else (under_way,):
            if batch is not None:
                scores = scorer.collect(batch)
                parts.extend(_rows_of(scores))
        under_way = None if final else started

    def ready() -> Iterator[tuple[Prepared, Scores | None]]:
        while waiting and len(parts) >= len(waiting[0].inputs):
            item = waiting.popleft()
            views = [parts.popleft() for _ in item.inputs]
            yield item, _map_columns(np.concatenate, views) if views else None

    for item in prepared:
        waiting.append(item)
        for view, image in enumerate(item.inputs):
            if batch_size is None:
                batch_size = scorer.plan(*image.shape[:2]).batch
            inputs.append(image)
            names.append(f"{item.record.id}/{view}")
            if len(inputs) == batch_size:
                advance(final=False)
        yield from ready()
    advance(final=True)
    yield from ready()


def _rows_of(scores: Scores) -> Iterator[Scores]:
    """One `Scores` of length 1 for each of N."""
    for i in range(len(scores.jepa_score)):
        yield _map_columns(lambda columns, i=i: columns[0][i : i + 1], [scores])
