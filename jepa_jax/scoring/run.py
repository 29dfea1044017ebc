"""Scores of a stream of images, shard by shard, resumable at any point."""

import dataclasses
import datetime
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jepa_jax.data import Source, open_source
from jepa_jax.estimators import Exact, Sketch
from jepa_jax.scoring import refine as refinement
from jepa_jax.scoring import rows as row_making
from jepa_jax.scoring import shards
from jepa_jax.scoring.refine import Refinement
from jepa_jax.scoring.resume import Todo, Writer
from jepa_jax.scoring.rows import GROUPS
from jepa_jax.scoring.scorer import Scorer
from jepa_jax.scoring.stream import ahead, scored


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run did.

    `counts`: rows by status, of this run; `refined`: rows that it scored again exactly; `resumed`:
    rows found done.
    """

    out: Path
    counts: dict[str, int]
    resumed: int
    seconds: float
    refined: int = 0

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
    refine: Refinement | None = None,
    shard_size: int = 1024,
    workers: int = 8,
    on_start: Callable[[int | None, int], None] | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> Summary:
    """Scores every image of `source` into the folder `out`: one row an input, whatever happens.

    `source`: whatever `jepa_jax.data.open_source` takes. `views`: 1 for the image itself, N for
    Eq. 4 over N random views (column `views`). `store`: groups of columns, of "embedding",
    "spectrum" (65 quantiles of log sigma) and "image" (size, bits per pixel). `limit`: the first
    so many images. `refine`: which rows of a calibrated method are scored again exactly when all
    are scored. `shard_size`: rows a Parquet file. `workers`: threads that read and preprocess.
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
    calibrated = isinstance(scorer.estimator, Sketch)
    if refine is not None and not calibrated:
        raise ValueError("`refine` needs a calibrated method (a sketch): an exact score is final")
    groups = store + (("views",) if views > 1 else ()) + (("calibrated",) if calibrated else ())
    columns = shards.schema(groups + (("refined",) if refine else ()))
    settings = describe(scorer, opened, views, store, shard_size, refine)
    counts: Counter[str] = Counter()
    refined = 0

    with shards.locked(out):
        shards.check_manifest(out, settings, _facts(scorer))
        todo = Todo(opened, out, shard_size, limit)
        total = opened.count()
        if on_start is not None:
            done = sum(map(shards.count_rows, shards.shard_paths(out)))
            on_start(total if limit is None or total is None else min(total, limit), done)
        describe_image = "image" in store
        prepared = ahead(
            todo,
            lambda record: row_making.prepare(
                record, scorer.encoder, views=views, seed=scorer.seed, describe=describe_image
            ),
            workers,
            # Views are held as arrays: many of them mean few images ahead.
            most=max(2, 3 * workers // views),
        )
        writer = Writer(out, shard_size, columns, todo)
        method = type(scorer.estimator).__name__.lower()
        try:
            for item, scores in scored(scorer, prepared):
                row = row_making.make_row(item, scores, method=method, store=store)
                counts[row["status"]] += 1
                writer.add(row)
                if on_row is not None:
                    on_row(row)
        finally:
            # Also after Ctrl-C or a failure: what is scored is kept.
            writer.flush()
            prepared.close()
            scorer.close()
        if refine is not None:
            exact = scorer.with_estimator(Exact(), "highest")
            again = refinement.refine(
                exact,
                opened,
                out,
                refine,
                columns,
                shard_size=shard_size,
                views=views,
                store=store,
                workers=workers,
                on_start=on_start,
                on_row=on_row,
            )
            refined = sum(again.values())
            exact.close()
    return Summary(out, dict(counts), todo.resumed, time.monotonic() - started, refined)


def describe(
    scorer: Scorer,
    source: Source,
    views: int,
    store: tuple[str, ...],
    shard_size: int,
    refine: Refinement | None = None,
) -> dict[str, Any]:
    """The settings that the manifest locks."""
    from jepa_jax import __version__

    encoder = scorer.encoder
    settings = {
        "version": __version__,
        "source": source.name,
        "encoder": {
            "fingerprint": encoder.fingerprint,
            "embedding": str(encoder.rule),
            "image_size": encoder.image_size,
        },
        "estimator": describe_estimator(scorer.estimator),
        "precision": scorer.precision,
        "views": views,
        "seed": scorer.seed,
        "store": list(store),
        "shard_size": shard_size,
    }
    return settings | ({"refine": dataclasses.asdict(refine)} if refine else {})


def describe_estimator(estimator: Any) -> dict[str, Any]:
    """An estimator's method and settings; of a calibration, its size and a hash of its arrays."""
    method = type(estimator).__name__.lower()
    if not isinstance(estimator, Sketch):
        return {"method": method, **dataclasses.asdict(estimator)}
    calibration = estimator.calibration
    digest = hashlib.sha256()
    for array in jax.tree.leaves(calibration):
        digest.update(np.asarray(array).tobytes())
    return {
        "method": method,
        "cotangents": calibration.cotangents.shape[0],
        "blocks": list(calibration.blocks),
        "calibration": digest.hexdigest(),
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
    if estimator.spectrum:
        return scorer  # Compiled already, perhaps.
    return scorer.with_estimator(dataclasses.replace(estimator, spectrum=True))
