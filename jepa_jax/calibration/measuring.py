"""Measuring what a calibration needs, on images of a source."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jepa_jax.calibration.calibration import FACTS, Calibration, load_calibration, locked_settings
from jepa_jax.calibration.choosing import compared_methods
from jepa_jax.data import Record, open_source
from jepa_jax.data.opening import source_options
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.estimators.exact import Exact
from jepa_jax.estimators.sketch.fitting import SketchSamples
from jepa_jax.estimators.sketch.measurement import (
    FEWEST,
    Measurement,
    choose_and_restrict,
    flat_covariates,
    measure,
    sketch_rows,
)
from jepa_jax.object_stores import Place
from jepa_jax.precisions import Precision
from jepa_jax.scoring.affordable import check_affordable
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.keys import keys_of
from jepa_jax.scoring.precision import numerics
from jepa_jax.scoring.rows import prepare
from jepa_jax.scoring.stream import MOST_SIZES
from jepa_jax.store.folder import CALIBRATION, locked, shard_paths
from jepa_jax.store.manifest import differing_settings
from jepa_jax.xla import jit

# So many batches at least are timed, beside the first one: some again, where there are fewer.
TIMED = 3
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
    exact scores are always "highest". `batch_size` and `devices`: as of `Scorer`; `at_any_cost`: as
    of `jepa_jax.scoring.run.run`.

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
    scorer = BatchScorer(
        encoder, Exact(), precision=precision, batch_size=batch_size, seed=seed, devices=devices
    )
    if not at_any_cost:
        check_affordable(scorer, why="a calibration scores images exactly: ")
    run = _Measuring(scorer)
    ids, passed_over, rank = [], 0, 0

    def batches() -> Iterator[tuple[list[str], np.ndarray]]:
        """Inputs of one size each, with their names."""
        nonlocal passed_over
        gathered: dict[tuple[int, ...], tuple[list[str], list[np.ndarray]]] = {}
        for record in spread_records(opened, images, limit):
            prepared = prepare(record, encoder, views=1, seed=seed)
            if prepared.error is not None:
                passed_over += 1
                continue
            image = prepared.inputs[0]
            if image.shape not in gathered and len(gathered) == MOST_SIZES:
                passed_over += 1  # Each is compiled for.
                continue
            names, waiting = gathered.setdefault(image.shape, ([], []))
            names.append(record.id)
            waiting.append(image)
            if len(waiting) >= scorer.batch(*image.shape[:2]):
                yield names, np.stack(waiting)
                gathered[image.shape] = [], []
        for names, waiting in gathered.values():
            if waiting:
                yield names, np.stack(waiting)

    kept: list[np.ndarray] = []  # The images, where their sketches need another precision.

    def measured() -> Iterator[Measurement]:
        nonlocal passed_over, rank
        for names, inputs in batches():
            found, rank = run(names, inputs)
            for i, name in enumerate(names):
                one = jax.tree.map(lambda a, i=i: a[i], found)
                if np.isfinite(one.score):
                    ids.append(name)
                    if precision != "highest":
                        kept.append(inputs[i])
                    yield one
                else:
                    passed_over += 1
                on_image()
        if len(ids) < FEWEST:
            raise ValueError(
                f"a calibration needs at least {FEWEST} images, {opened.name} gave {len(ids)} "
                f"({passed_over} could not be read or scored)"
            )

    if on_start is not None:
        on_start(images, 0)
    most = max(1, min(_MOST_COTANGENTS, (encoder.embedding_size - 2) // 2))
    cotangents, parts = choose_and_restrict(measured(), most, seed)
    for i, image in enumerate(kept):
        sketch, covariates = run.at_precision(image, cotangents)
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
            **run.times(),
            "device": scorer.devices.kind,
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


class _Measuring:
    """The compiled measurement of batches, and how long an image took, compilation apart."""

    def __init__(self, scorer: BatchScorer):
        self.scorer = scorer
        self._others = compared_methods()
        devices = scorer.devices
        self._compiled = devices.program(self._measure, whole=1, batched=2, static=1)
        self._sketched = jit(self._sketch, static_argnums=3)  # An image at a time, on one device.
        self._covariates = devices.program(self._covariates_of, whole=1, batched=1)
        # Of each batch an image's, and of some batches again, but for those that compile.
        self._compiled_for: set[tuple[int, ...]] = set()
        self._seconds: list[float] = []
        self._seconds_of_covariates: list[float] = []
        self._last: tuple[Any, ...] = ()

    def times(self) -> dict[str, float]:
        """Medians of the seconds an image, of the exact score and of the covariates, and the larger
        of the relative standard errors of these (the interquartile range over the root of n).

        Each batch was timed for both, one after the other, so that what else the machine had to do
        fell on both alike.
        """
        while len(self._seconds) < TIMED:
            self._timed(*self._last)
        exact, own = np.array(self._seconds), np.array(self._seconds_of_covariates)
        ranges = [np.subtract(*np.quantile(t, [0.75, 0.25])) / np.median(t) for t in (exact, own)]
        return {
            "seconds_an_exact_image": float(np.median(exact)),
            "seconds_of_covariates": float(np.median(own)),
            "error_of_seconds": float(max(ranges) / np.sqrt(len(exact))),
        }

    def __call__(
        self, names: list[str], images: Float[np.ndarray, "b h w c"]
    ) -> tuple[Measurement, int]:
        """What is measured of a batch of images, and the number of singular values of each."""
        scorer, count = self.scorer, len(images)
        size = images.shape[1:3]
        fill = scorer.filled(count, *size)
        keys = keys_of(scorer.seed, [f"{names[i]}/0" for i in fill])
        self._last = (images[fill], keys, scorer.plan(*size).chunk)
        found, ranks = self._timed(*self._last)
        return jax.tree.map(lambda a: np.asarray(a)[:count], found), int(ranks[0])

    def _timed(self, images: np.ndarray, keys: Any, chunk: int) -> tuple[Measurement, Array]:
        """The measurement of a full batch; its time and the covariates' own are noted."""
        state, _ = self.scorer.on_devices()
        began = time.monotonic()
        with numerics("highest"):
            found = jax.block_until_ready(self._compiled(state, images, keys, chunk))
        between = time.monotonic()
        jax.block_until_ready(self._covariates(state, images))
        if images.shape in self._compiled_for:
            self._seconds.append((between - began) / len(images))
            self._seconds_of_covariates.append((time.monotonic() - between) / len(images))
        self._compiled_for.add(images.shape)
        return found

    def at_precision(
        self, image: Float[np.ndarray, "h w c"], cotangents: Float[np.ndarray, "p k"]
    ) -> tuple[Float[np.ndarray, "p p"], dict[str, np.ndarray]]:
        """The sketch and the covariates of one image in the scorer's own precision."""
        scorer = self.scorer
        chunk = scorer.plan(*image.shape[:2]).chunk
        with numerics(scorer.precision):
            found = self._sketched(scorer.encoder.state, image, cotangents, chunk)
        return jax.tree.map(np.asarray, found)

    def _measure(self, state, images: Array, keys: Array, chunk: int) -> tuple[Measurement, Array]:
        def one(image: Array, key: Array) -> tuple[Measurement, Array]:
            operator = jacobian_of(self.scorer.encoder, state, image, chunk)
            return measure(operator, self._others, key), jnp.asarray(operator.live, jnp.int32)

        return jax.vmap(one)(images, keys)

    def _covariates_of(self, state, images: Array) -> dict[str, Array]:
        encoder = self.scorer.encoder
        one = lambda image: encoder.covariates(state, encoder.coordinates(state, image))
        return jax.vmap(one)(images)

    def _sketch(
        self, state, image: Array, cotangents: Array, chunk: int
    ) -> tuple[Array, dict[str, Array]]:
        operator = jacobian_of(self.scorer.encoder, state, image, chunk)
        return sketch_rows(operator, cotangents), flat_covariates(operator)


def spread_records(source: Any, images: int, limit: int | None) -> Iterator[Record]:
    """Records taken evenly over a source of known length, else from its beginning."""
    total = source.count()
    total = limit if total is None else total if limit is None else min(total, limit)
    taken = 0
    for index, record in enumerate(source):
        if (total is not None and index >= total) or taken >= images:
            return
        # The next of `images` evenly spaced places.
        if total is None or total <= images or index >= taken * total // images:
            taken += 1
            yield record
