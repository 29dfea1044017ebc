"""`Scorer`: an encoder and an estimator as one compiled function of images."""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jepa_jax.encoders import Encoder
from jepa_jax.estimators import Estimate, Estimator
from jepa_jax.jacobian import Jacobian, jacobian
from jepa_jax.scoring.keys import keys_of
from jepa_jax.scoring.plan import Plan, plan_for
from jepa_jax.scoring.precision import Precision, matmul_precision
from jepa_jax.scoring.processes import Processes, share_cores


class Scores(NamedTuple):
    """Scores of N images, NumPy arrays. Log-volumes and errors in nats; higher = more typical.

    `jepa_score`, `std_error`, `bias_bound` (NaN where the method has none) and `rank` (N,);
    `embedding` (N, K); `singular_values` (N, rank) and `flagged` (N,), outside of what a calibrated
    estimator was fitted on, where the estimator returns them, or None.
    """

    jepa_score: Float[np.ndarray, " n"]
    std_error: Float[np.ndarray, " n"]
    bias_bound: Float[np.ndarray, " n"]
    rank: Int[np.ndarray, " n"]
    embedding: Float[np.ndarray, "n k"]
    singular_values: Float[np.ndarray, "n r"] | None = None
    flagged: Bool[np.ndarray, " n"] | None = None


def map_columns(
    function: Callable[[Sequence[np.ndarray]], np.ndarray], parts: Sequence[Scores]
) -> Scores:
    """`function` of every column of `parts`, given as a sequence; None stays None."""
    columns = zip(*parts, strict=True)
    return Scores._make(None if column[0] is None else function(column) for column in columns)


class Scorer:
    """JEPA-SCOREs of images by one encoder and one estimator.

    `precision`: "highest" (float32 matrix products), "tf32" or "bf16", where the device has them.
    `batch_size` images are computed at once, and `chunk` cotangents for each (defaults: by the
    platform and the sizes). `processes`: on a CPU, that many worker processes of a share of the
    cores each, up to one a core: more images/s where an image takes seconds, after each has
    started and compiled. They live as long as the scorer, or until `close`. A score depends on its
    image, the settings and `seed` alone, to rounding: not on the batch or process that it is
    computed in.

    Raises `ValueError` on a precision that the device does not have, a size below 1, or more
    processes than cores.

    >>> import numpy as np
    >>> from jepa_jax import Exact, Scorer, load_encoder
    >>> encoder = load_encoder("embedded")
    >>> scorer = Scorer(encoder, Exact())
    >>> side = encoder.image_size
    >>> images = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)
    >>> scores = scorer.score(images)
    >>> scores.jepa_score.shape, scores.rank.tolist()
    ((2,), [62, 62])
    """

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
        self._workers: Processes | None = None  # Started by the first batch.
        if processes > 1:
            share_cores(processes)  # Raises now.
        self._compile()

    def _compile(self) -> None:
        # A calibrated estimator is a pytree of arrays, an argument of the program; others are
        # settings, and part of it.
        self._fitted = not jax.tree_util.all_leaves([self.estimator])
        self._compiled = jax.jit(self._estimate, static_argnums=4)

    def __getstate__(self) -> dict[str, Any]:
        # A copy is one process, and compiles for itself.
        return self.__dict__ | {"_compiled": None, "_workers": None, "processes": 1}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)
        self._compile()

    def with_estimator(self, estimator: Estimator, precision: Precision | None = None) -> "Scorer":
        """This scorer with another estimator, at its own precision or another."""
        return Scorer(
            self.encoder,
            estimator,
            precision=precision or self.precision,
            batch_size=self.batch_size,
            chunk=self.chunk,
            seed=self.seed,
            processes=self.processes,
        )

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
        """Images a batch and cotangents a chunk for images of this size."""
        plan = plan_for(self.encoder, height, width, self.batch_size)
        return plan if self.chunk is None else Plan(self.chunk, plan.batch)

    def score(
        self, images: Float[np.ndarray, "n h w c"], ids: Sequence[str] | None = None
    ) -> Scores:
        """Scores of preprocessed images, float32 (N, H, W, C), sides that the patch divides.

        `ids` seed the random estimators, one an image; without them, the pixels do. Compiles once
        an image size.

        Raises `ValueError` on an array of another shape or type, or another number of ids.
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
        batch = self.plan(*images.shape[1:3]).batch
        if not len(images):  # One blank image gives the empty result its shapes and types.
            blank = self.score(np.zeros((1, *images.shape[1:]), images.dtype))
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
            self._workers = self._workers or Processes(self, self.processes)
            return self._workers.submit(images, names)
        plan = self.plan(*images.shape[1:3])
        count = len(images)
        # The last batch is filled up with copies of its first image: one program for all.
        fill = [*range(count), *[0] * (plan.batch - count)]
        keys = keys_of(self.seed, [names[i] for i in fill])
        with matmul_precision(self.precision):
            fitted = self.estimator if self._fitted else None
            result = self._compiled(self.encoder.state, fitted, images[fill], keys, plan.chunk)
        return lambda: _scores(result, count)

    def _estimate(
        self,
        state: nnx.State,
        fitted: Estimator | None,
        images: Float[Array, "b h w c"],
        keys: PRNGKeyArray,
        chunk: int,
    ) -> tuple[Estimate, Float[Array, "b k"]]:
        estimator = self.estimator if fitted is None else fitted

        def one(image: Float[Array, "h w c"], key: PRNGKeyArray):
            operator = jacobian_of(self.encoder, state, image, chunk)
            return estimator(operator, key), operator.value

        # A batch of one is not worth a batch dimension in every product.
        if images.shape[0] == 1:
            return jax.tree.map(lambda a: a[None], one(images[0], keys[0]))
        return jax.vmap(one)(images, keys)

    def run(self, source, out: str | Path, **settings):
        """Scores a stream of images into a folder of Parquet shards: see `jepa_jax.scoring.run`."""
        from jepa_jax.scoring.run import run

        return run(self, source, out, **settings)


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
    )


def jacobian_of(
    encoder: Encoder, state: nnx.State, image: Float[Array, "h w c"], chunk: int | None = None
) -> Jacobian:
    """The Jacobian of an encoder's embedding at one preprocessed image.

    With respect to `Encoder.coordinates`, which leave the singular values as they are; with the
    null directions and the covariates that the encoder knows.
    """
    coordinates = encoder.coordinates(state, image)
    return jacobian(
        lambda u: encoder.embed_coordinates(state, u),
        coordinates,
        chunk=chunk,
        null_basis=lambda z: encoder.null_basis(state, z),
        covariates=lambda: encoder.covariates(state, coordinates),
    )
