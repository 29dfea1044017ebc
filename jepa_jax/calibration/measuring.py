"""Measuring what a calibration needs, on images of a source."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jepa_jax.calibration.batches import Elsewhere, Measuring
from jepa_jax.calibration.calibration import FACTS, Calibration, load_calibration, locked_settings
from jepa_jax.data import Record, open_source
from jepa_jax.data.opening import source_options
from jepa_jax.data.sources.source import count_within
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.estimators.exact import Exact
from jepa_jax.estimators.sketch.fitting import SketchSamples
from jepa_jax.estimators.sketch.measurement import FEWEST, Measurement, choose_and_restrict
from jepa_jax.object_stores import Place
from jepa_jax.precisions import Precision
from jepa_jax.scoring.affordable import check_affordable
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.engines import MapEngine
from jepa_jax.store.folder import CALIBRATION, locked, shard_paths
from jepa_jax.store.manifest import differing_settings

# The most cotangents measured: beyond half of K, or so many, a sketch saves little.
_MOST_COTANGENTS = 192


def calibrate(
    encoder: Encoder,
    source: Any,
    *,
    images: int = 128,
    precision: Precision = "highest",
    batch_size: int | None = None,
    seed: int = 0,
    devices: int | None = None,
    engine: MapEngine | None = None,
    limit: int | None = None,
    at_any_cost: bool = False,
    on_start: Callable[[int | None, int], None] | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> Calibration:
    """Measures exact scores and sketches of `images` images of `source`.

    They are taken evenly over the source where its length is known, from its beginning where not;
    what cannot be read is passed over, and where preprocessing gives inputs of sizes of their own,
    those of one more than 64 sizes. Let them include the kinds of images to be scored, also the odd
    ones: a sketch holds for what it has seen. `precision` is that of the sketch's VJPs; the
    exact scores are always "highest". `batch_size` and `devices`: as of `Scorer`; `engine`: whose
    workers measure (`jepa_jax.scoring.Ray`), by default this process; `at_any_cost`: as of
    `jepa_jax.scoring.run.run`.

    Raises `ValueError` with fewer than 16 usable images, and where this machine is not up to an
    exact score, with its cost and the way on.

    Cost: K VJPs an image. Memory: a batch's Jacobians, K x K matrices of up to half a GiB, and
    about 0.1 MB an image.

    >>> from importlib.resources import files
    >>> from jepa_jax import calibrate, load_encoder
    >>> samples = files("jepa_jax") / "assets" / "samples"  # 41 files, one of them broken
    >>> calibration = calibrate(load_encoder("embedded"), samples, images=20, batch_size=8)
    >>> calibration.facts["images"], calibration.facts["passed_over"]
    (19, 1)
    >>> calibration.samples.cotangents.shape
    (31, 64)
    """
    if images < FEWEST:
        raise ValueError(f"`images` must be at least {FEWEST}, got {images}")
    opened = open_source(source)
    if engine is not None:
        devices = 0
    scorer = BatchScorer(
        encoder, Exact(), precision=precision, batch_size=batch_size, seed=seed, devices=devices
    )
    if not at_any_cost:
        check_affordable(scorer, why="a calibration scores images exactly: ")
    there = count_within(opened, limit)
    if there is not None and there < FEWEST:
        raise ValueError(f"a calibration needs at least {FEWEST} images, {opened.name} has {there}")
    run = Measuring(scorer) if engine is None else Elsewhere(scorer, engine)
    ids, passed_over, rank = [], 0, 0
    kept: list[np.ndarray] = []  # The images, where their sketches need another precision.

    def measured() -> Iterator[Measurement]:
        nonlocal passed_over, rank
        for one in run.each(spread_records(opened, images, limit)):
            if one.measured is None:
                passed_over += 1
            else:
                ids.append(one.name)
                rank = one.rank
                if one.image is not None and precision != "highest":
                    kept.append(one.image)
                yield one.measured
            on_image()
        if len(ids) < FEWEST:
            raise ValueError(
                f"a calibration needs at least {FEWEST} images, {opened.name} gave {len(ids)} "
                f"({passed_over} could not be read or scored)"
            )

    if on_start is not None:
        on_start(images if there is None else min(images, there), 0)
    most = max(1, min(_MOST_COTANGENTS, (encoder.embedding_size - 2) // 2))
    cotangents, parts = choose_and_restrict(measured(), most, seed)
    for i, (sketch, covariates) in enumerate(run.at_precision(kept, cotangents)):
        parts[i] = parts[i]._replace(sketch=sketch, covariates=covariates)
    found = jax.tree.map(lambda *leaves: np.stack(leaves), *parts)
    return Calibration(
        SketchSamples(cotangents, found, rank),
        locked_settings(encoder, precision) | {"rank": rank},
        {
            "encoder": encoder.name,
            "source": opened.name,
            "source_options": source_options(opened),
            "images": len(ids),
            "passed_over": passed_over,
            "asked": images,
            **medians(run.until_timed()),
            "device": run.device,
            "jax": jax.__version__,
            "seed": seed,
            "ids": ids,
        },
    )


def calibrate_for_run(
    out: Place,
    encoder: Encoder,
    source: Any,
    *,
    images: int = 128,
    precision: Precision = "highest",
    seed: int = 0,
    **settings: Any,
) -> Calibration:
    """The calibration that a run keeps in its output folder: made once, found by its reruns.

    Raises `ValueError` where the folder has rows by another one, showing both settings; where it
    has none yet, that is made anew.
    """
    folder = out / CALIBRATION
    asked = {"calibration_images": images, "seed": seed, "source": open_source(source).name}
    if (folder / FACTS).exists():  # Written last: without it, a calibration was cut off.
        found = load_calibration(folder)
        try:
            _check_asked(found, asked, out)
            found.check(encoder, precision)
            return found
        except ValueError:
            if shard_paths(out):
                raise
    with locked(out):  # Also says whether the folder can be written to.
        found = calibrate(
            encoder, source, images=images, precision=precision, seed=seed, **settings
        )
        found.save(folder)
    return found


def _check_asked(found: Calibration, asked: dict[str, Any], out: Place) -> None:
    """Raises where a calibration was asked for by other settings."""
    facts = found.facts
    before = {
        # As many as were asked for, before that was noted.
        "calibration_images": facts.get(
            "asked", facts.get("images", 0) + facts.get("passed_over", 0)
        ),
        "seed": facts.get("seed"),
        "source": facts.get("source"),
    }
    changed = differing_settings(before, asked)
    if changed:
        raise ValueError(
            f"the rows in {out} are by a calibration with other settings; give another output "
            "folder, or the same settings\n  "
            + "\n  ".join(f"{k}: {was!r} before, {now!r} now" for k, (was, now) in changed.items())
        )


def medians(times: list[tuple[float, float]]) -> dict[str, float]:
    """Medians of the seconds an image, of the exact score and of the covariates, and the larger of
    the relative standard errors of these (the interquartile range over the root of n).

    Each batch was timed for both, one after the other, so that what else the machine had to do fell
    on both alike.
    """
    exact, own = np.array(times).T
    ranges = [np.subtract(*np.quantile(t, [0.75, 0.25])) / np.median(t) for t in (exact, own)]
    return {
        "seconds_an_exact_image": float(np.median(exact)),
        "seconds_of_covariates": float(np.median(own)),
        "error_of_seconds": float(max(ranges) / np.sqrt(len(exact))),
    }


def spread_records(source: Any, images: int, limit: int | None) -> Iterator[Record]:
    """Records taken evenly over a source of known length, else from its beginning."""
    total = count_within(source, limit)
    taken = 0
    for index, record in enumerate(source):
        if (total is not None and index >= total) or taken >= images:
            return
        # The next of `images` evenly spaced places.
        if total is None or total <= images or index >= taken * total // images:
            taken += 1
            yield record
