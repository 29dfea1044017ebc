"""What a calibration measures of images: exactly, batch by batch, by this process or an engine."""

import functools
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jepa_jax.calibration.choosing import compared_methods
from jepa_jax.data import Record
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.estimators.sketch.measurement import (
    Measurement,
    flat_covariates,
    measure,
    sketch_rows,
)
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.engines import MapEngine
from jepa_jax.scoring.keys import keys_of
from jepa_jax.scoring.numerics import numerics
from jepa_jax.scoring.rows import prepare
from jepa_jax.scoring.stream import MOST_SIZES
from jepa_jax.xla import jit

TIMED = 3
"""So many batches at least are timed, beside the first one: some again, where there are fewer."""

# Of images whose sketches are of another precision, so many are sent at once.
_SENT = 8


class One(NamedTuple):
    """What an image left, nothing where it could not be read or scored. `rank`: the number of its
    singular values; `image`: as preprocessed."""

    name: str
    measured: Measurement | None = None
    rank: int = 0
    image: Float[np.ndarray, "h w c"] | None = None


class Measuring:
    """The compiled measurement of images by this process, and how long one took, compilation apart.

    `scorer`: whose encoder, devices, batches and precision.
    """

    def __init__(self, scorer: BatchScorer):
        self.scorer = scorer
        self._others = compared_methods()
        devices = scorer.devices
        self._compiled = devices.program(self._measure, whole=1, batched=2, static=1)
        self._sketched = jit(self._sketch, static_argnums=3)  # An image at a time, on one device.
        self._covariates = devices.program(self._covariates_of, whole=1, batched=1)
        # Of each batch an image's, and of some batches again, but for those that compile.
        self._compiled_for: set[tuple[int, ...]] = set()
        self.times: list[tuple[float, float]] = []
        self._last: tuple[Any, ...] = ()
        self._sizes: set[tuple[int, ...]] = set()

    @property
    def device(self) -> str:
        """What it is computed on."""
        return self.scorer.devices.kind

    def each(self, records: Iterable[Record]) -> Iterator[One]:
        """What is measured of every record, in the order in which their batches are full."""
        scorer = self.scorer
        gathered: dict[tuple[int, ...], tuple[list[str], list[np.ndarray]]] = {}
        for record in records:
            prepared = prepare(record, scorer.encoder, views=1, seed=scorer.seed)
            if prepared.error is not None:
                yield One(record.id)
                continue
            image = prepared.inputs[0]
            if image.shape not in self._sizes and len(self._sizes) == MOST_SIZES:
                yield One(record.id)  # Each is compiled for.
                continue
            self._sizes.add(image.shape)
            names, waiting = gathered.setdefault(image.shape, ([], []))
            names.append(record.id)
            waiting.append(image)
            if len(waiting) >= scorer.batch(*image.shape[:2]):
                yield from self._batch(names, np.stack(waiting))
                gathered[image.shape] = [], []
        for names, waiting in gathered.values():
            if waiting:
                yield from self._batch(names, np.stack(waiting))

    def _batch(self, names: list[str], inputs: Float[np.ndarray, "b h w c"]) -> Iterator[One]:
        found, rank = self(names, inputs)
        for i, name in enumerate(names):
            one = jax.tree.map(lambda a, i=i: a[i], found)
            if np.isfinite(one.score):
                yield One(name, one, rank, inputs[i])
            else:
                yield One(name)

    def time_again(self) -> None:
        """The last batch once more, for its time."""
        self._timed(*self._last)

    def until_timed(self, count: int = TIMED) -> list[tuple[float, float]]:
        """At least so many batches' seconds an image, of the exact score and of the covariates."""
        while len(self.times) < count:
            self.time_again()
        return self.times

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
            took = between - began, time.monotonic() - between
            self.times.append((took[0] / len(images), took[1] / len(images)))
        self._compiled_for.add(images.shape)
        return found

    def at_precision(
        self, images: Iterable[Float[np.ndarray, "h w c"]], cotangents: Float[np.ndarray, "p k"]
    ) -> Iterator[tuple[Float[np.ndarray, "p p"], dict[str, np.ndarray]]]:
        """The sketch and the covariates of each image in the scorer's own precision."""
        scorer = self.scorer
        for image in images:
            chunk = scorer.plan(*image.shape[:2]).chunk
            with numerics(scorer.precision):
                found = self._sketched(scorer.encoder.state, image, cotangents, chunk)
            yield jax.tree.map(np.asarray, found)

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


class Elsewhere:
    """`Measuring` by the workers of an engine, each with its own scorer of the same recipe."""

    def __init__(self, scorer: BatchScorer, engine: MapEngine):
        self._scorer, self._engine = scorer, engine
        self._times: list[tuple[float, float]] = []
        self._timed: tuple[str, list[Record]] | None = None

    @property
    def device(self) -> str:
        """What it was computed on."""
        return ", ".join(sorted(self._engine.kinds()))

    def each(self, records: Iterable[Record]) -> Iterator[One]:
        """What is measured of every record, in their order where their inputs are of one size."""
        (batch,) = self._engine.map(self._scorer, _batch, [("the first call", None)])
        records = iter(records)
        parts = iter(lambda: [*itertools.islice(records, batch)], [])
        named = ((f"the images from {part[0].id!r} to {part[-1].id!r}", part) for part in parts)
        drawn: list[tuple[str, list[Record]]] = []
        items = (drawn.append(item) or item for item in named)
        for found, times in self._engine.map(self._scorer, _measured, items):
            item = drawn.pop(0)
            if times:
                self._times += times
                self._timed = item
            yield from found

    def until_timed(self, count: int = TIMED) -> list[tuple[float, float]]:
        """As of `Measuring`."""
        while len(self._times) < count and self._timed is not None:
            again = [self._timed] * (count - len(self._times))
            for _, times in self._engine.map(self._scorer, _measured, again):
                self._times += times
        return self._times

    def at_precision(
        self, images: Sequence[Float[np.ndarray, "h w c"]], cotangents: Float[np.ndarray, "p k"]
    ) -> Iterator[tuple[Float[np.ndarray, "p p"], dict[str, np.ndarray]]]:
        """As of `Measuring`."""
        parts = (images[i : i + _SENT] for i in range(0, len(images), _SENT))
        items = (("a sketch of images", (part, cotangents)) for part in parts)
        for found in self._engine.map(self._scorer, _sketched, items):
            yield from found


# What workers do. A worker compiles once for all that it is asked.
_measuring = functools.lru_cache(maxsize=1)(Measuring)


def _batch(scorer: BatchScorer, _: None) -> int:
    return scorer.batch(*scorer.encoder.input_shape[:2])


def _measured(
    scorer: BatchScorer, records: list[Record]
) -> tuple[list[One], list[tuple[float, float]]]:
    """What is measured of a batch's worth of records, and at least one time of it."""
    run = _measuring(scorer)
    before = len(run.times)
    found = [*run.each(records)]
    if any(one.measured is not None for one in found):
        run.until_timed(before + 1)
    # The image is wanted again for a sketch of another precision alone.
    if scorer.precision == "highest":
        found = [one._replace(image=None) for one in found]
    return found, run.times[before:]


def _sketched(
    scorer: BatchScorer, asked: tuple[Sequence[np.ndarray], np.ndarray]
) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    return [*_measuring(scorer).at_precision(*asked)]
