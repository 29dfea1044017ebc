"""Calibrating a sketch on images of a source, saving it, and choosing the fastest good method."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float
from safetensors.numpy import load_file, save_file

from jepa_jax.data import Record, open_source
from jepa_jax.encoders import Encoder
from jepa_jax.estimators import Estimator, Exact, Hutchinson, Lanczos, Sketch, SketchSamples
from jepa_jax.estimators import calibrate as fitting
from jepa_jax.estimators.calibrate import FEWEST, Measurement
from jepa_jax.scoring.folders import check_ours, differing_settings, replace
from jepa_jax.scoring.keys import keys_of
from jepa_jax.scoring.precision import Precision, matmul_precision
from jepa_jax.scoring.rows import prepare
from jepa_jax.scoring.scorer import Scorer, jacobian_of

ARRAYS, FACTS = "calibration.safetensors", "calibration.json"
# The most cotangents measured: beyond half of K, or so many, a sketch saves little.
_MOST_COTANGENTS = 192
# The random methods that a calibration compares, on the same images.
RANDOM: dict[str, Estimator] = {"lanczos": Lanczos(), "hutchinson": Hutchinson()}
# A JVP's cost in VJPs.
JVP_COST = 1.5


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A method, its cost in VJPs (a JVP counts 1.5), and its measured agreement with `Exact`.

    `spearman` and `rmse` (nats): over the calibration images, leave-one-out for a sketch; those of
    a random method after its mean bias is taken off. `seconds`: expected of one image, from the
    exact score's time by cost, and for a sketch that of its covariates.
    """

    name: str
    cost: float
    spearman: float
    rmse: float
    seconds: float
    estimator: Callable[[], Estimator]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Exact scores, sketches and features of calibration images, and what they hold for.

    `locked`: encoder (fingerprint, embedding rule, image size) and precision, outside of which it
    is refused. `facts`: source, ids, seconds an exact image, device, versions.
    """

    samples: SketchSamples
    locked: dict[str, Any]
    facts: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the measurements and of what they hold for."""
        digest = hashlib.sha256(json.dumps(self.locked, sort_keys=True).encode())
        for name, array in sorted(_arrays(self.samples).items()):
            digest.update(name.encode() + array.tobytes())
        return digest.hexdigest()

    def check(self, encoder: Encoder, precision: Precision = "highest") -> None:
        """Raises `ValueError` where it was made for something else, showing both values."""
        wanted = locked_settings(encoder, precision)
        differing = differing_settings({key: self.locked.get(key) for key in wanted}, wanted)
        changed = [
            f"{key}: {was!r} in the calibration, {now!r} now"
            for key, (was, now) in differing.items()
        ]
        if changed:
            raise ValueError(
                "the calibration was made for something else; make another one "
                "(jepa-jax calibrate)\n  " + "\n  ".join(changed)
            )

    def sketch(self, encoder: Encoder, cotangents: int, precision: Precision = "highest") -> Sketch:
        """The sketch of so many VJPs, for the encoder and precision that it was made for."""
        self.check(encoder, precision)
        most = len(self.samples.cotangents)
        if cotangents > most:
            raise ValueError(
                f"`cotangents` must be at most {most}, as many were measured, got {cotangents}"
            )
        return Sketch(self.samples.fit(cotangents).calibration)

    def candidates(self) -> list[Candidate]:
        """Every method that was compared, the fastest first, `Exact` among them."""
        s = self.samples
        k = s.cotangents.shape[1]
        exact_cost = float(s.rank)
        each = self.facts["seconds_an_exact_image"] / exact_cost
        found = [Candidate("exact", exact_cost, 1.0, 0.0, each * exact_cost, Exact)]
        for count in _counts(len(s.cotangents)):
            fit = s.fit(count)
            found.append(
                Candidate(
                    f"sketch, {count} cotangents",
                    float(count),
                    fit.spearman,
                    fit.rmse,
                    each * count + self.facts["seconds_of_covariates"],
                    lambda fit=fit: Sketch(fit.calibration),
                )
            )
        for name, values in (s.measured.others or {}).items():
            estimator = RANDOM[name]
            vjps, jvps = estimator.cost(k, s.rank)
            cost = vjps + JVP_COST * jvps
            rank, spread = _agreement(values, s.measured.score)
            found.append(Candidate(name, cost, rank, spread, each * cost, lambda e=estimator: e))
        return sorted(found, key=lambda c: c.seconds)

    def choose(self, target_spearman: float = 0.98) -> Candidate:
        """The fastest candidate whose measured rank correlation reaches the target."""
        if not 0 < target_spearman <= 1:
            raise ValueError(f"`target_spearman` must be in (0, 1], got {target_spearman}")
        return next(c for c in self.candidates() if c.spearman >= target_spearman)

    def save(self, folder: str | Path) -> None:
        """Writes calibration.safetensors and calibration.json into `folder`, made if need be."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        content = {"locked": self.locked, "facts": self.facts, "fingerprint": self.fingerprint}
        replace(folder / ARRAYS, lambda path: save_file(_arrays(self.samples), path))
        replace(folder / FACTS, lambda path: path.write_text(json.dumps(content, indent=2) + "\n"))


def load_calibration(folder: str | Path) -> Calibration:
    """A saved calibration; `FileNotFoundError` or `ValueError` says what is wrong with it."""
    folder = Path(folder)
    for name in (ARRAYS, FACTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}: not a calibration")
    try:
        content = json.loads((folder / FACTS).read_text())
        arrays = load_file(folder / ARRAYS)
        packed = arrays["sketch"]
        most = arrays["cotangents"].shape[0]
        sketch = np.zeros((len(packed), most, most), packed.dtype)
        sketch[(slice(None), *np.tril_indices(most))] = packed
        named = lambda prefix: {
            name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)
        }
        measured = Measurement(arrays["score"], sketch, named("covariate."), named("other."))
        samples = SketchSamples(arrays["cotangents"], measured, int(content["locked"]["rank"]))
        found = Calibration(samples, content["locked"], content["facts"])
    except (KeyError, TypeError, IndexError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} is not a readable calibration: {error!r}") from error
    if found.fingerprint != content.get("fingerprint"):
        raise ValueError(f"{folder}: {ARRAYS} and {FACTS} do not belong together")
    return found


def calibrate(
    encoder: Encoder,
    source: Any,
    *,
    images: int = 128,
    precision: Precision = "highest",
    batch_size: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    on_start: Callable[[int | None, int], None] | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> Calibration:
    """Measures exact scores and sketches of `images` images of `source`.

    They are taken evenly over the source where its length is known, from its beginning where not;
    what cannot be read is passed over. Let them include the kinds of images to be scored, also the
    odd ones: a sketch holds for what it has seen. `precision` is that of the sketch's VJPs; the
    exact scores are always "highest".

    Raises `ValueError` with fewer than 16 usable images.

    Cost: K VJPs an image. Memory: a batch's Jacobians, K x K matrices of up to half a GiB, and
    about 0.1 MB an image.
    """
    if images < FEWEST:
        raise ValueError(f"`images` must be at least {FEWEST}, got {images}")
    opened = open_source(source)
    scorer = Scorer(encoder, Exact(), precision=precision, batch_size=batch_size, seed=seed)
    run = _Measuring(scorer)
    ids, passed_over = [], 0

    def batches() -> Iterator[tuple[list[str], np.ndarray]]:
        nonlocal passed_over
        names, waiting = [], []
        for record in _spread(opened, images, limit):
            prepared = prepare(record, encoder, views=1, seed=seed, describe=False)
            if prepared.error is not None:
                passed_over += 1
                continue
            names.append(record.id)
            waiting.append(prepared.inputs[0])
            if len(waiting) >= scorer.plan(*waiting[0].shape[:2]).batch:
                yield names, np.stack(waiting)
                names, waiting = [], []
        if waiting:
            yield names, np.stack(waiting)

    kept: list[np.ndarray] = []  # The images, where their sketches need another precision.

    def measured() -> Iterator[Measurement]:
        nonlocal passed_over
        for names, inputs in batches():
            found = run(names, inputs)
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
    cotangents, parts = fitting.choose_and_restrict(measured(), most, seed)
    for i, image in enumerate(kept):
        parts[i] = parts[i]._replace(sketch=run.sketch(image, cotangents))
    found = jax.tree.map(lambda *leaves: np.stack(leaves), *parts)
    device = jax.devices()[0]
    return Calibration(
        SketchSamples(cotangents, found, run.rank),
        locked_settings(encoder, precision) | {"rank": run.rank},
        {
            "encoder": encoder.name,
            "source": opened.name,
            "images": len(ids),
            "passed_over": passed_over,
            "seconds_an_exact_image": run.seconds_an_image,
            "seconds_of_covariates": run.seconds_of_covariates(),
            "device": f"{device.platform}: {device.device_kind}",
            "jax": jax.__version__,
            "seed": seed,
            "ids": ids,
        },
    )


def calibrate_for_run(out: Path, encoder: Encoder, source: Any, **settings) -> Calibration:
    """The calibration that a run keeps in its output folder: made once, found by its reruns."""
    from jepa_jax.scoring import shards  # Needs pyarrow, which calibrating does not.

    folder = out / shards.CALIBRATION
    if (folder / FACTS).exists():  # Written last: without it, a calibration was cut off.
        return load_calibration(folder)
    with shards.locked(out):  # Also says whether the folder can be written to.
        found = calibrate(encoder, source, **settings)
        found.save(folder)
    return found


def check_folder(folder: Path) -> None:
    """Raises `FileExistsError` or `NotADirectoryError` where a calibration cannot be put."""
    ours = {ARRAYS, FACTS}
    check_ours(folder, lambda name: name.removeprefix(".").removesuffix(".tmp") in ours)


def locked_settings(encoder: Encoder, precision: Precision) -> dict[str, Any]:
    """What a calibration holds for, beside its rank."""
    return {
        "fingerprint": encoder.fingerprint,
        "embedding": str(encoder.rule),
        "image_size": encoder.image_size,
        "precision": precision,
    }


class _Measuring:
    """The compiled measurement of batches, and how long an image took after the first batch."""

    def __init__(self, scorer: Scorer):
        self.scorer = scorer
        self.rank = 0
        self._compiled = jax.jit(self._measure, static_argnums=3)
        self._sketched = jax.jit(self._sketch, static_argnums=3)
        self._seconds: list[float] = []
        self._last = np.zeros((0, 0, 0, 0), np.float32)

    @property
    def seconds_an_image(self) -> float:
        """Median over the batches after the first one, which compiles."""
        return float(np.median(self._seconds[1:] or self._seconds))

    def seconds_of_covariates(self) -> float:
        """The covariates' own time an image: the least of three runs of the last batch."""
        encoder, images = self.scorer.encoder, self._last

        def one(state, image: Array) -> dict[str, Array]:
            return encoder.covariates(state, encoder.coordinates(state, image))

        run = jax.jit(jax.vmap(one, (None, 0)))
        seconds = []
        for _ in range(4):
            began = time.monotonic()
            jax.block_until_ready(run(encoder.state, images))
            seconds.append((time.monotonic() - began) / len(images))
        return min(seconds[1:])

    def __call__(self, names: list[str], images: Float[np.ndarray, "b h w c"]) -> Measurement:
        scorer, count = self.scorer, len(images)
        plan = scorer.plan(*images.shape[1:3])
        fill = [*range(count), *[0] * (plan.batch - count)]
        keys = keys_of(scorer.seed, [f"{names[i]}/0" for i in fill])
        state, self._last = scorer.encoder.state, images[fill]
        began = time.monotonic()
        with matmul_precision("highest"):
            found = jax.block_until_ready(self._compiled(state, images[fill], keys, plan.chunk))
        self._seconds.append((time.monotonic() - began) / plan.batch)
        return jax.tree.map(lambda a: np.asarray(a)[:count], found)

    def sketch(
        self, image: Float[np.ndarray, "h w c"], cotangents: Float[np.ndarray, "p k"]
    ) -> Float[np.ndarray, "p p"]:
        """The sketch of one image in the scorer's own precision."""
        scorer = self.scorer
        chunk = scorer.plan(*image.shape[:2]).chunk
        with matmul_precision(scorer.precision):
            return np.asarray(self._sketched(scorer.encoder.state, image, cotangents, chunk))

    def _measure(self, state, images: Array, keys: Array, chunk: int) -> Measurement:
        def one(image: Array, key: Array) -> Measurement:
            operator = jacobian_of(self.scorer.encoder, state, image, chunk)
            self.rank = operator.live
            return fitting.measure(operator, RANDOM, key)

        return jax.vmap(one)(images, keys)

    def _sketch(self, state, image: Array, cotangents: Array, chunk: int) -> Array:
        return fitting.sketch_rows(
            jacobian_of(self.scorer.encoder, state, image, chunk), cotangents
        )


def _spread(source: Any, images: int, limit: int | None) -> Iterator[Record]:
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


def _counts(most: int) -> list[int]:
    """Numbers of cotangents worth comparing."""
    return [p for p in (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192) if p <= most]


def _agreement(values: Any, scores: Any) -> tuple[float, float]:
    """Rank correlation with the exact scores, and the spread of the error about its mean."""
    values, scores = np.asarray(values), np.asarray(scores)
    return fitting.spearman(values, scores), float(np.std(values - scores))


def _arrays(samples: SketchSamples) -> dict[str, np.ndarray]:
    """The arrays of a calibration's file, by name; sketches as their lower triangles."""
    measured = samples.measured
    lower = np.tril_indices(len(samples.cotangents))
    arrays: dict[str, Any] = {
        "cotangents": samples.cotangents,
        "score": np.asarray(measured.score),
        "sketch": np.asarray(measured.sketch)[(slice(None), *lower)],
    }
    arrays |= {f"covariate.{name}": a for name, a in measured.covariates.items()}
    arrays |= {f"other.{name}": a for name, a in (measured.others or {}).items()}
    return {name: np.ascontiguousarray(np.asarray(a)) for name, a in arrays.items()}
