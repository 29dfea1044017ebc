"""An encoder and an estimator as one compiled function of batches, on all devices of this process
or in worker processes."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, PRNGKeyArray

from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.encoder_jacobian import jacobian_of, jacobians_of
from jepa_jax.estimators.estimate import Estimate, Estimator, estimates
from jepa_jax.estimators.shares import pooled
from jepa_jax.jacobian_operator import Jacobian
from jepa_jax.precisions import Precision
from jepa_jax.scoring.affordable import check_affordable
from jepa_jax.scoring.batch_sizes import Plan, plan_for
from jepa_jax.scoring.cores import share_cores
from jepa_jax.scoring.devices import Devices
from jepa_jax.scoring.keys import keys_of
from jepa_jax.scoring.known_answers import check_device
from jepa_jax.scoring.numerics import matmul_precision, numerics
from jepa_jax.scoring.scores import Scores, map_columns
from jepa_jax.scoring.workers import Workers

# Rather than `typing.Self`, which cannot be checked at run time outside of a decorated class.
_Scorer = TypeVar("_Scorer", bound="BatchScorer")


class BatchScorer:
    """What `jepa_jax.scoring.Scorer` does in memory: all but `Scorer.run`, by the same settings."""

    def __init__(
        self,
        encoder: Encoder,
        estimator: Estimator,
        *,
        precision: Precision = "highest",
        batch_size: int | None = None,
        chunk: int | None = None,
        seed: int = 0,
        processes: int = 1,
        devices: int | None = None,
    ):
        sizes = {"batch_size": batch_size, "chunk": chunk, "processes": processes}
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")
        matmul_precision(precision)  # Raises now rather than at the first image.
        self.encoder, self.estimator = encoder, estimator
        self.precision: Precision = precision
        self.batch_size, self.chunk, self.seed = batch_size, chunk, seed
        self.processes = processes
        self._affordable: set[tuple[int, ...]] = set()  # Sizes of images that were found to be.
        self._workers: Workers | None = None  # Started by the first batch.
        if processes > 1:
            if devices not in (None, 1):
                raise ValueError(
                    f"`processes` are of one device each: `devices` must be 1, got {devices}"
                )
            devices = 1
            share_cores(processes)  # Raises now.
        self._begin(Devices(devices))

    def _begin(self, devices: Devices) -> None:
        self.devices = devices
        # A calibrated estimator is a pytree of arrays, an argument of the program; others are
        # settings, and part of it.
        self._fitted = not jax.tree_util.all_leaves([self.estimator])
        if self.encoder.inner and (self._fitted or hasattr(self.estimator, "line")):
            raise ValueError(
                f"{type(self.estimator).__name__} is fitted to one embedding: give the encoder one "
                f"rule a scorer, got {', '.join(map(str, self.encoder.rules))}"
            )
        self._on_devices: tuple[nnx.State, Estimator | None] | None = None
        self._compiled = devices.program(self._estimate, whole=2, batched=2, static=1)

    def __getstate__(self) -> dict[str, Any]:
        # A copy is one process on one device, and compiles for itself.
        left = {"_compiled": None, "_workers": None, "_on_devices": None, "devices": None}
        return self.__dict__ | left | {"processes": 1}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)
        self._begin(Devices(1))

    def with_estimator(
        self: _Scorer, estimator: Estimator, precision: Precision | None = None
    ) -> _Scorer:
        """This scorer with another estimator, at its own precision or another."""
        other = type(self)(
            self.encoder,
            estimator,
            precision=precision or self.precision,
            batch_size=self.batch_size,
            chunk=self.chunk,
            seed=self.seed,
            processes=self.processes,
            devices=self.devices.count,
        )
        if self._on_devices is not None:  # The parameters are there once.
            fitted = other.devices.on_each(estimator) if other._fitted else None
            other._on_devices = self._on_devices[0], fitted
        return other

    def close(self) -> None:
        """Ends the worker processes, if there are any; scoring again starts new ones."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    @property
    def in_flight(self) -> int:
        """Batches worth dispatching before the first one is waited for."""
        return 2 * self.processes

    def plan(self, height: int, width: int) -> Plan:
        """Images a batch of one device, and cotangents a chunk, for images of this size."""
        plan = plan_for(self.encoder, height, width, self.batch_size, self.estimator)
        return plan if self.chunk is None else Plan(self.chunk, plan.batch)

    def batch(self, height: int, width: int) -> int:
        """Images of this size that are computed at once: the plan's on each device."""
        return self.plan(height, width).batch * self.devices.count

    def on_devices(self) -> tuple[nnx.State, Estimator | None]:
        """The encoder's parameters, and the estimator if it is fitted, on each of the devices."""
        there = self._on_devices
        if there is None:
            fitted = self.estimator if self._fitted else None
            there = self._on_devices = self.devices.on_each((self.encoder.state, fitted))
        return there

    def filled(self, count: int, height: int, width: int) -> list[int]:
        """Which of `count` images a whole batch consists of: the last one is filled up with copies
        of its first image, so that one program does for all."""
        return [*range(count), *[0] * (self.batch(height, width) - count)]

    def score(
        self,
        images: Float[np.ndarray | Array, "n h w c"],
        ids: Sequence[str] | None = None,
        *,
        at_any_cost: bool = False,
    ) -> Scores:
        """Scores of preprocessed images, float32 (N, H, W, C), sides that the patch divides.

        `ids` seed the random estimators, one an image; without them, the pixels do. Compiles once
        an image size.

        Raises `ValueError` on an array of another shape or type, another number of ids, and, unless
        `at_any_cost`, where one score exceeds the memory or takes hours
        (`jepa_jax.scoring.affordable`).
        """
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[-1] != self.encoder.config.channels:
            raise ValueError(
                f"`images` must have shape (N, height, width, {self.encoder.config.channels}), "
                f"got {images.shape}"
            )
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(
                f"`images` must be preprocessed floats (`encoder.preprocess`), got {images.dtype}"
            )
        names = [i.tobytes() for i in images] if ids is None else ids
        if len(names) != len(images):
            raise ValueError(f"`ids` must name {len(images)} images, got {len(names)}")
        height, width = images.shape[1:3]
        if not at_any_cost and (height, width) not in self._affordable:
            check_affordable(self, (height, width))
            self._affordable.add((height, width))
        batch = self.batch(height, width)
        if not len(images):  # One blank image gives the empty result its shapes and types.
            blank = np.zeros((1, *images.shape[1:]), images.dtype)
            blank = self.score(blank, at_any_cost=at_any_cost)
            return map_columns(lambda columns: columns[0][:0], [blank])
        waits: deque[Callable[[], Scores]] = deque()
        parts: list[Scores] = []
        for i in range(0, len(images), batch):
            waits.append(self.dispatch(images[i : i + batch], names[i : i + batch]))
            # One process computes one batch at a time: two would take the memory of two.
            if len(waits) >= (self.in_flight if self.processes > 1 else 1):
                parts.append(waits.popleft()())
        parts += [wait() for wait in waits]
        return map_columns(np.concatenate, parts)

    def dispatch(
        self, images: Float[np.ndarray, "b h w c"], names: Sequence[str | bytes]
    ) -> Callable[[], Scores]:
        """Starts the computation of up to one batch; the function returned waits for its scores."""
        if self.processes > 1:
            self._workers = self._workers or Workers(self._in_a_worker, self.processes)
            return self._workers.submit(images, names)
        if not self.devices.count:
            raise ValueError("`devices` is 0: this scorer is for an engine that computes elsewhere")
        check_device(self.precision, self.devices)  # Once a process and device.
        count, size = len(images), images.shape[1:3]
        fill = self.filled(count, *size)
        keys = keys_of(self.seed, [names[i] for i in fill])
        with numerics(self.precision):
            arguments = (*self.on_devices(), images[fill], keys)
            results = self._compiled(*arguments, self.plan(*size).chunk)

        def wait() -> Scores:
            *inner, own = [_scores(result, count) for result in results]
            names = map(str, self.encoder.inner)
            return own._replace(inner=dict(zip(names, inner, strict=True)) or None)

        return wait

    def traced(self, height: int, width: int) -> jax.stages.Traced:
        """The program of one batch on all devices of images of this size, traced and not compiled.

        `.lower().compile()` of it takes (encoder.state, estimator, images, keys), with None for an
        estimator that is settings alone, with nothing fitted; it has XLA's plan of the memory.
        `.lower(lowering_platforms=("cuda",))` is for a device that is not here.
        """
        count, encoder = self.batch(height, width), self.encoder
        shape = (count, height, width, encoder.config.channels)
        keys = jax.eval_shape(lambda: keys_of(0, [""] * count))
        with numerics(self.precision):
            return self._compiled.trace(
                encoder.state,
                self.estimator if self._fitted else None,
                jax.ShapeDtypeStruct(shape, np.float32),
                keys,
                self.plan(height, width).chunk,
            )

    def _in_a_worker(
        self, images: Float[np.ndarray, "b h w c"], names: Sequence[str | bytes]
    ) -> Scores:
        return self.dispatch(images, names)()

    def _estimate(
        self,
        state: nnx.State,
        fitted: Estimator | None,
        images: Float[Array, "b h w c"],
        keys: Key[Array, " b"],
        chunk: int,
    ) -> list[tuple[Estimate, Float[Array, "b _"]]]:
        """Of each of the encoder's rules."""
        estimator = self.estimator if fitted is None else fitted

        def result(found: Estimate, operator: Jacobian):
            if found.shares is not None:  # A number for each patch, not for each coordinate.
                found = found._replace(shares=pooled(found.shares, operator.input_shape))
            return found, operator.value

        def one(image: Float[Array, "h w c"], key: PRNGKeyArray):
            if self.encoder.inner:
                operators = jacobians_of(self.encoder, state, image, chunk)
                found = estimates(estimator, operators, key)
                return [result(e, o) for e, o in zip(found, operators.each, strict=True)]
            operator = jacobian_of(self.encoder, state, image, chunk)
            return [result(estimator(operator, key), operator)]

        # A batch of one is not worth a batch dimension in every product.
        if images.shape[0] == 1:
            return jax.tree.map(lambda a: a[None], one(images[0], keys[0]))
        return jax.vmap(one)(images, keys)


def _scores(result: tuple[Estimate, Array], count: int) -> Scores:
    """The first `count` of a batch, when they are there."""
    estimate, embedding = jax.tree.map(lambda a: np.asarray(a)[:count], result)
    return Scores(
        jepa_score=estimate.log_volume,
        std_error=estimate.std_error,
        bias_bound=estimate.bias_bound,
        rank=estimate.rank,
        embedding=embedding,
        singular_values=estimate.singular_values,
        flagged=estimate.flagged,
        patch_shares=estimate.shares,
        products=estimate.products,
    )
