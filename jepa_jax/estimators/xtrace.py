"""XTrace: a trace estimate that takes a low-rank part out of the variance."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jepa_jax import linalg
from jepa_jax.estimators import quadrature, settings
from jepa_jax.estimators.bidiagonal import bidiagonalise
from jepa_jax.estimators.estimate import Estimate, Rank
from jepa_jax.estimators.narrow import Narrow, dot, narrow
from jepa_jax.estimators.probes import draw, mean_and_error, norms
from jepa_jax.jacobian_operator import Jacobian
from jepa_jax.primitive import with_derivative


@dataclasses.dataclass(frozen=True)
class XTrace:
    """1/2 tr log(J J^T) by XTrace, in nats.

    The mean of s = `products` / 2 estimates of tr L, L = 1/2 log(J J^T) on the n = min(K - R, D)
    live dimensions. Each takes the trace on the space that L makes of all probes but one, and on
    the complement Hutchinson's estimate from the one left out. L times a vector is had from `steps`
    Lanczos steps. L enters less its mean over the probes times I, which changes the space alone.
    `rank="clip"`: log max(sigma, eps), and log eps for each known null direction.

    `std_error` is that of the mean of the s estimates as if they were independent, times
    sqrt(1 + min(3 s / n, .6)) for the probes that they share: the mean's variance, measured on
    matrices of s / n from .02 to .5, is so much more (tests/estimators/test_xtrace.py). It is
    itself had from s numbers: for s = 3 one error in 17 is over 4 of them. `bias_bound` is NaN:
    Lanczos's products with a log have no one-sided error, as its quadrature has. A singular value
    of zero that is not among the null directions makes the score -inf where the steps see it, and
    is not noticed elsewhere.

    Raises `ValueError` on settings outside these, where `products` exceeds n, and where it is
    called without a key.

    Cost: one VJP and one JVP a step and product. Memory: s x (`steps` n + 3 D) numbers, and the
    intermediate values of `chunk` products.

    When to use it: where a few of the log singular values lie far from all others
    (tests/estimators/test_xtrace.py has such a spectrum). When not to: on the spectra of encoders,
    whose logs spread evenly. On those of a ViT-S/14 (K = 384, random singular vectors, VJP = 1,
    JVP = 1.5, benchmarks/frontier/results/spectra.md) 30 steps and 12 products cost 900 for a
    standard deviation of 12 nats and a rank correlation of .982; `Lanczos` has 11 and .986 with 30
    steps and 8 probes, for 600.

    Source: Epperly, Tropp, Webber, SIAM J. Matrix Anal. Appl. 45, 2024 (arXiv 2301.07825), with
    their normalisation, which needs probes without a preferred direction: uniform on the sphere.

    >>> import jax
    >>> from jepa_jax import XTrace, jacobian
    >>> J = jacobian(lambda x: 2.0 * x, jax.numpy.ones(4))
    >>> estimate = XTrace(steps=2, products=4)(J, jax.random.key(0))
    >>> round(float(estimate.log_volume), 3)  # 4 log 2
    2.773
    """

    steps: int = 30
    products: int = 12
    rank: Rank = "structural"
    eps: float = 1e-6

    def __post_init__(self):
        settings.check_at_least("steps", self.steps, 1)
        settings.check_at_least("products", self.products, 4)
        if self.products % 2:
            raise ValueError(f"`products` must be even, got {self.products}")
        settings.check_choice("rank", self.rank, Rank)
        settings.check_positive("eps", self.eps)

    def __call__(self, jacobian: Jacobian, key: PRNGKeyArray | None = None) -> Estimate:
        """The estimate at the Jacobian's input; `key` draws the probes."""
        operator = narrow(jacobian)
        size, count = operator.size, self.products // 2
        if self.products > size:
            raise ValueError(
                f"`products` must be at most {size} (the smaller of the live embedding dimensions "
                f"and the input's), got {self.products}"
            )
        start = draw(key, "sphere", count, size, jacobian.value.dtype)
        image, zeros = self._log(operator, start)
        # Any multiple of I is exact, so that the space may be spent on what differs from the mean.
        # A little is left of it: where the log is a multiple of I, something must span the space.
        mean = jnp.vdot(start, image) / start.size
        shift = mean - jnp.sqrt(jnp.finfo(start.dtype).eps) * (1 + jnp.abs(mean))
        values = size * shift + _leave_one_out(
            lambda vectors: self._log(operator, vectors)[0] - shift * vectors,
            start,
            image - shift * start,
        )
        volume, std_error = mean_and_error(values)
        std_error = std_error * math.sqrt(1 + min(3 * count / size, 0.6))
        rank = jnp.full(volume.shape, operator.rank(self.rank), jnp.int32)
        if self.rank == "structural":
            volume, rank = jnp.where(zeros > 0, -jnp.inf, volume), rank - zeros
        return Estimate(
            log_volume=volume + operator.logs_of_zeros(self.rank, self.eps),
            std_error=std_error,
            bias_bound=jnp.full_like(volume, jnp.nan),
            rank=rank,
        )

    def cost(self, k: int, d: int) -> tuple[float, float]:
        """(VJPs, JVPs) for K x D: one of each a step and product."""
        products = float(self.products * min(self.steps, k, d))
        return products, products

    def _log(
        self, operator: Narrow, vectors: Float[Array, "p n"]
    ) -> tuple[Float[Array, "p n"], Int[Array, ""]]:
        """1/2 log(T^T T) of every row, or with the singular values clipped, by Lanczos; and how
        many singular values of zero are seen."""
        found = bidiagonalise(operator, vectors, min(self.steps, operator.size))

        eps = self.eps if self.rank == "clip" else None
        (parts,) = _columns(found.diagonal, found.above[:, :-1], eps=eps)
        highest = jax.lax.Precision.HIGHEST
        logs = norms(vectors) * jnp.einsum("pm,pmn->pn", parts, found.basis, precision=highest)
        return logs, quadrature.zeros(found.diagonal, found.above[:, :-1], operator.width)


def _leave_one_out(
    product: Callable[[Array], Array], start: Float[Array, "s n"], image: Float[Array, "s n"]
) -> Float[Array, " s"]:
    """XTrace's s estimates of tr A from w_i and A w_i, which leave each w_i out of the space in
    turn: the trace on the space of the others, and on its complement Hutchinson's of w_i."""
    count, size = start.shape
    q, r = linalg.qr(image.T)
    left_out = linalg.inv(r)  # Row i is normal to the images of all but w_i, within the space.
    left_out = left_out / norms(left_out)
    images = product(q.T)
    inner = dot(images, q)  # Entry (i, j): q_i^T A^T q_j.
    within = dot(start, q)
    within = within - left_out * jnp.sum(left_out * within, axis=1, keepdims=True)
    rest = start - dot(within, q.T)
    forms = jnp.sum(rest * (image - dot(within, images)), axis=1)
    # The rest is as long as its n - s + 1 dimensions have it on average, rather than as it fell.
    outside = (size - count + 1) * forms / jnp.square(rest).sum(1)
    removed = jnp.sum(dot(left_out, inner) * left_out, axis=1)
    return jnp.trace(inner) - removed + outside


def _values(diagonal: Array, above: Array, *, eps: float | None) -> tuple[Array]:
    """The first column of the log of every B."""
    function = quadrature.log_at_least(eps)
    column = lambda d, a: quadrature.first_column(function, d, a)
    return (quadrature.widened(column, diagonal, above),)


def _derivatives(diagonal: Array, above: Array, *, eps: float | None) -> tuple[Array, Array]:
    derivatives = lambda d, a: quadrature.first_column_jacobian(eps, d, a)
    return quadrature.widened(derivatives, diagonal, above)


def _along(kept: tuple[Array, ...], tangents: tuple[Array, ...]) -> Array:
    highest = jax.lax.Precision.HIGHEST
    parts = [
        jnp.einsum("pij,pj->pi", k, t, precision=highest)
        for k, t in zip(kept, tangents, strict=True)
    ]
    return parts[0] + parts[1]


_columns = with_derivative("log_first_column", _values, _derivatives, _along, ("eps",))
