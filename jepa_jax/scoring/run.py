"""Scores of a stream of images, shard by shard, resumable at any point."""

import dataclasses
import datetime
import functools
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import jax
import numpy as np

from jepa_jax.data import Clips, Source, open_source
from jepa_jax.data.left_out import as_facts, left_out
from jepa_jax.data.opening import source_options
from jepa_jax.data.storage import Storage
from jepa_jax.estimators.corrected import Corrected
from jepa_jax.estimators.exact import Exact
from jepa_jax.estimators.sketch.estimator import Sketch
from jepa_jax.object_stores import Place, place
from jepa_jax.scoring.affordable import check_affordable
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.engines import Engine, Local
from jepa_jax.scoring.refine import REFINED_AT, Refinement, Unrefined, refine_shards
from jepa_jax.scoring.reporting import Reporting
from jepa_jax.scoring.work import (
    WHOLE,
    Changed,
    OnRow,
    Part,
    Pending,
    Retry,
    RowSettings,
    Task,
    count_again,
    score_shards,
)
from jepa_jax.store.files import each
from jepa_jax.store.folder import check_scores_folder, locked, shard_paths
from jepa_jax.store.manifest import check_manifest, make_settings, refuse_other_settings
from jepa_jax.store.run_status import RunStatus
from jepa_jax.store.schema import GROUPS, check_store
from jepa_jax.store.shards import count_rows
from jepa_jax.version import __version__


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run did.

    `counts`: rows by status, of this run; `refined`: rows that it scored again exactly; `resumed`:
    rows found done; `unavailable`: rows of the folder whose image could not be got, which `retry`
    would do again; `changed`: rows whose image's file had another size or time than when it was
    scored, which were done again or kept, as was asked for.

    >>> from pathlib import Path
    >>> summary = Summary(Path("scores"), {"ok": 8, "unreadable": 1}, resumed=20, seconds=4.0)
    >>> summary.scored, summary.resumed
    (9, 20)
    """

    out: Place
    counts: dict[str, int]
    resumed: int
    seconds: float
    refined: int = 0
    unavailable: int = 0
    changed: int = 0

    @property
    def scored(self) -> int:
        """Rows that this run added, or did again."""
        return sum(self.counts.values())


def run(
    scorer: BatchScorer,
    source: Any,
    out: str | Place,
    *,
    views: int = 1,
    store: Iterable[str] = (),
    limit: int | None = None,
    refine: Refinement | None = None,
    retry: Retry | None = None,
    changed: Changed = "rescore",
    part: Part = WHOLE,
    shard_size: int = 1024,
    workers: int = 8,
    engine: Engine | None = None,
    on_start: Callable[[int | None, int], None] | None = None,
    on_row: OnRow | None = None,
    on_changed: Callable[[str], object] = lambda id: None,
    on_status: Callable[[RunStatus], None] | None = None,
    facts: Mapping[str, Any] | None = None,
    at_any_cost: bool = False,
) -> Summary:
    """Scores every image of `source` into the folder `out`: one row an input, whatever happens.

    `out` may lie on an object store ('s3://bucket/scores').

    `source`: whatever `jepa_jax.data.open_source` takes. `views`: 1 for the image itself, N for Eq.
    4 over N random views (column `views`). `store`: groups of columns, of "embedding", "spectrum"
    (65 quantiles of log sigma), "image" (size, bits per pixel of a JPEG, brightness, contrast,
    sharpness) and "patches" (a map of `jepa_jax.estimators.patch_shares`). `limit`: the first so
    many images. `refine`: which rows of a calibrated method are scored again exactly when all are
    scored. `retry`: which rows without a score are done again, in their places: "failed", those
    whose image could not be got (status "unavailable": a file that is missing, a server that does
    not answer), or "all". `changed`: whether rows whose image's file (or archive, or table) has
    another size or time now than when it was scored are done again, in their places, or kept;
    `on_changed(id)` is told the first one. `part`: the shards that this run does, where several
    share the work, each in a folder of its own, to be merged (`jepa_jax.store.merge`); what
    `refine` asks for is done after that. `shard_size`: rows a Parquet file. `workers`: threads that
    read and preprocess. `engine`: where shards are computed, by default this process, or
    `jepa_jax.scoring.Ray`. `on_start(total, done)` and `on_row(row)` report progress, and
    `on_status`, every second or so, how an engine's workers are. `facts`: more of them for the
    manifest of a new folder. `at_any_cost`: also where one score exceeds the memory or takes hours
    (`jepa_jax.scoring.affordable`), which is refused else.

    The folder gets a manifest, the run's status (`jepa_jax.store.RunStatus`) and one Parquet file a
    shard, each replaced atomically, at the latest every 30 seconds. A rerun with the same settings
    continues: rows that are there are kept, whether their image could be read or not. Memory does
    not grow with the number of images. Where the storage of the images fails, it is tried again for
    some seconds; then the run ends.

    Raises `ValueError` on settings that differ from the folder's (showing both), on a source
    whose images are no longer those of the folder's rows, on settings that make no sense, and on a
    score that this machine is not up to, with its cost and the way on;
    `jepa_jax.data.storage.StorageFailed`, an `OSError`, where a disk or a server is gone.

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
    out, store = place(out), tuple(dict.fromkeys(store))
    _check_numbers(views=views, shard_size=shard_size, workers=workers, limit=limit)
    if retry not in (None, "failed", "all"):
        raise ValueError(f"`retry` must be 'failed', 'all' or None, got {retry!r}")
    if changed not in ("rescore", "keep"):
        raise ValueError(f"`changed` must be 'rescore' or 'keep', got {changed!r}")
    estimator = scorer.estimator
    if views > 1 and scorer.encoder.config.frames is not None:
        raise ValueError(f"`views` are of images: of clips there is 1, got {views}")
    returns = functools.partial(hasattr, estimator)
    check_store(store, views, returns, type(estimator).__name__)
    scorer = scorer_that_returns(scorer, store)
    opened = open_source(source)
    storage = Storage.of(opened)
    calibrated = isinstance(scorer.estimator, (Sketch, Corrected))
    if refine is not None and not calibrated:
        raise ValueError(
            "`refine` needs a calibrated method (a sketch, or a corrected lower precision): an "
            "exact score is final"
        )
    if not at_any_cost:
        check_affordable(scorer)
        if refine is not None:
            check_affordable(scorer.with_estimator(Exact(), REFINED_AT))
    implied = {
        "views": views > 1,
        "calibrated": calibrated,
        "refined": refine is not None,
        "adaptive": getattr(estimator, "tolerance", None) is not None,
    }
    rows = RowSettings(
        method=type(scorer.estimator).__name__.lower(),
        views=views,
        store=store,
        groups=tuple(name for name, wanted in implied.items() if wanted),
        shard_size=shard_size,
        threads=workers,
        rules=tuple(map(str, scorer.encoder.inner)),
    )
    settings = describe(scorer, opened, rows, refine, part)
    engine, encoder = engine or Local(), {"encoder": scorer.encoder.name}
    refined = Counter[str]()

    def writing(write: Callable[[], None], rows: int) -> None:
        check()
        write()

    with locked(out) as check:
        refuse_other_settings(out, settings, encoder)  # Before anything else is begun.
        with Reporting(out, engine.name, on_row, on_status, check) as reporting:
            found = _facts(scorer, opened) | engine.begin(scorer, reporting)
            check_manifest(out, settings, found, of_first=facts)
            pending = Pending(opened, out, shard_size, limit, retry, changed, on_changed, part)
            total = opened.count()
            if total is not None:
                total = part.rows(total if limit is None else min(total, limit), shard_size)
            done = sum(each(shard_paths(out), count_rows)) - count_again(out, retry)
            if on_start is not None:
                on_start(total, done)
            counts = reporting.begin("scoring", total, done)
            try:
                task = Task(scorer, out, rows, score_shards, storage, retry, writing)
                engine.run(task, pending, reporting)
            finally:
                scorer.close()
            if refine is not None and part == WHOLE:
                again = Unrefined.of(out, refine)
                if on_start is not None:
                    on_start(again.chosen, again.chosen - again.left)
                refined = reporting.begin("refining", again.chosen, again.chosen - again.left)
                exact = scorer_that_returns(scorer.with_estimator(Exact(), REFINED_AT), store)
                exactly = dataclasses.replace(rows, method="exact")
                task = Task(exact, out, exactly, refine_shards, storage, writing=writing)
                shards = again.shards(opened, shard_size)
                try:
                    engine.run(task, shards, reporting)
                finally:
                    exact.close()
            for kind in sorted(engine.kinds() - {found["device"]}):
                check_manifest(out, settings, found | {"device": kind})
    if not counts and not pending.resumed and part == WHOLE:
        raise ValueError(f"{opened.name} holds no images: nothing was scored")
    seconds = time.monotonic() - started
    unavailable = pending.unavailable + counts["unavailable"]
    return Summary(
        out,
        dict(counts),
        pending.resumed,
        seconds,
        sum(refined.values()),
        unavailable,
        pending.changed_rows,
    )


def check_before_choosing(
    scorer: BatchScorer,
    source: Any,
    out: str | Place,
    *,
    views: int = 1,
    store: Iterable[str] = (),
    shard_size: int = 1024,
    at_any_cost: bool = False,
) -> bool:
    """Raises what `run` would for these settings, whatever estimator is still to be chosen.

    Returns whether the folder has rows, and those of an exact method.
    """
    out, rows = place(out), RowSettings("", views, tuple(store), shard_size=shard_size)
    unknown = "one that is still to be chosen (name it by --method)"
    check_store(rows.store, views, lambda name: False, unknown)
    if not at_any_cost:
        check_affordable(scorer)  # Some images are scored exactly.
    settings = describe(scorer, open_source(source), rows, None)
    check_scores_folder(out)
    encoder = {"encoder": scorer.encoder.name}
    before = refuse_other_settings(out, settings, encoder, but=("estimator", "refine"))
    return before is not None and before["settings"].get("estimator", {}).get("method") == "exact"


def describe(
    scorer: BatchScorer,
    source: Source,
    rows: RowSettings,
    refine: Refinement | None,
    part: Part = WHOLE,
) -> dict[str, Any]:
    """The settings that the manifest locks."""
    encoder = scorer.encoder
    return make_settings(
        source=source.name,
        encoder={
            "fingerprint": encoder.fingerprint,
            "embedding": str(encoder.rule),
            "image_size": encoder.image_size,
        }
        | ({"inner": list(map(str, encoder.inner))} if encoder.inner else {}),
        estimator=describe_estimator(scorer.estimator),
        precision=scorer.precision,
        views=rows.views,
        seed=scorer.seed,
        store=rows.store,
        shard_size=rows.shard_size,
        refine=_describe_refinement(refine, scorer) if refine else None,
        source_options=source_options(source),
        part=dataclasses.asdict(part) if part != WHOLE else None,
    )


def _describe_refinement(refine: Refinement, scorer: BatchScorer) -> dict[str, Any]:
    """Its shares, and its precision where that is not the run's."""
    own = {} if scorer.precision == REFINED_AT else {"precision": REFINED_AT}
    return dataclasses.asdict(refine) | own


def describe_estimator(estimator: Any) -> dict[str, Any]:
    """An estimator's method and settings; of a calibration, its size and a hash of its arrays."""
    method = type(estimator).__name__.lower()
    if isinstance(estimator, Corrected):
        line = dataclasses.asdict(estimator.line)
        return {"method": method, "line": {name: float(value) for name, value in line.items()}}
    if not isinstance(estimator, Sketch):
        set_to = dataclasses.asdict(estimator)
        # `store` says it, and folders from before there was such a setting go on.
        set_to.pop("shares", None)
        if set_to.get("tolerance", 0) is None:
            set_to = {k: v for k, v in set_to.items() if k not in ("tolerance", "most_probes")}
        return {"method": method, **set_to}
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


def _facts(scorer: BatchScorer, opened: Source) -> dict[str, Any]:
    """What the manifest records and does not lock, beside what the engine says."""
    clips = {"clips": opened.frames} if isinstance(opened, Clips) else {}
    return clips | {
        "encoder": scorer.encoder.name,
        "placement": scorer.encoder.placement,
        "left_out": as_facts(left_out(opened)),
        "version": __version__,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _check_numbers(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}")


def scorer_that_returns(scorer: BatchScorer, store: tuple[str, ...]) -> BatchScorer:
    """A scorer whose estimator returns what is to be stored."""
    estimator = cast(Any, scorer.estimator)
    needed = [needs[0] for name in store if (needs := GROUPS[name].needs)]
    missing = {name: True for name in needed if not getattr(estimator, name)}
    if not missing:
        return scorer  # Compiled already, perhaps.
    return scorer.with_estimator(dataclasses.replace(estimator, **missing))
