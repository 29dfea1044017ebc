"""Stochastic Lanczos quadrature of the log-volume."""

import dataclasses
import functools

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.estimators import adaptive, quadrature, settings
from jepa_jax.estimators.bidiagonal import bidiagonalise, bidiagonalise_until, leading
from jepa_jax.estimators.estimate import Estimate, Rank
from jepa_jax.estimators.narrow import Narrow, narrow
from jepa_jax.estimators.probes import Sampler, checked, draw, mean_and_error
from jepa_jax.jacobian_operator import Jacobian
from jepa_jax.primitive import with_derivative


@dataclasses.dataclass(frozen=True)
class Lanczos:
    """1/2 tr log(J J^T) by Lanczos quadrature on random probes, in nats.

    `rank="structural"`: (n / 2P) sum_p e_1^T log(B_p^T B_p) e_1 over P probes of length sqrt(n), on
    the n = min(K - R, D) live dimensions; B_p is the bidiagonal matrix of `steps` Golub-Kahan
    steps from probe p. Steps beyond n would add nothing and are not taken.
    `rank="clip"`: log max(sigma, eps) in the place of the log, and log eps for each of the known
    null directions. (`Exact` takes what rounding has made of those, where that is above eps.)

    Two errors, reported apart. `std_error` is that of the mean over probes, NaN for a single one.
    `bias_bound` is that of the quadrature: the Gauss rule overestimates a log, and the Gauss-Radau
    rule with a node at `floor` times the largest node underestimates it, so that the score without
    the probes' error lies in [log_volume - bias_bound, log_volume]. That assumes that no singular
    value is below `floor` times the largest; the default is about what a float32 Jacobian can
    resolve. NaN where a node shows the assumption to be wrong, and in clip mode: no such rule is
    one-sided for a function with a kink. A singular value of zero that is not among the null
    directions is noticed (-inf, or a bound of NaN) only once the steps have found it.

    `tolerance`, nats: more of both until two errors are no larger. `probes` more probes at a time,
    `most_probes` at most, until `std_error` is (which then allows for having looked:
    `jepa_jax.estimators.adaptive.until`); and half as many steps more at a time, up to n, until
    that has lowered a round's mean by no more. The latter estimates what is left of the bias, whose
    bound is `bias_bound` as ever. Of each input the products taken are `products`. Without a
    derivative.

    Raises `ValueError` on settings outside these, and where it is called without a key.

    Cost: one VJP and one JVP a step and probe; with a `tolerance`, at least, and an SVD of an n x n
    matrix a probe and check of the steps. Memory: `probes` x (`steps` n + 3 D) numbers, with a
    `tolerance` n n in the place of `steps` n, and the intermediate values of `chunk` products.

    When to use it: where the K x D rows do not fit, and where K is in the thousands. When not to:
    where `Exact` is affordable. With VJP = 1 and JVP = 1.5 and K = 384 (spectra of a ViT-S/14,
    random singular vectors, benchmarks/frontier/results/spectra.md), `Exact` costs 382; 20 steps
    and 4 probes cost 200 for a bias of 27, a standard deviation of 15 and a rank correlation of
    .972; 50 steps and 16 probes 2000, for 3, 7 and .993. `bias_bound` is a bound and no estimate,
    many times these biases. The bias is mostly the same for all images of an encoder, and cancels
    in comparisons between them. On real Jacobians `std_error` is right within a tenth for the
    probes' error, and 98 % of the exact scores lie in the bracket of both errors; what of the bias
    differs between images is no part of `std_error`: half of the errors about their mean are
    within it at 20 steps, not two thirds (benchmarks/frontier/results/grams.md).

    Source: Ubaru, Chen, Saad, SIAM J. Matrix Anal. Appl. 38, 2017, algorithm 1; the bounds: Golub
    and Meurant, Matrices, Moments and Quadrature, 2010, ch. 6.

    >>> import jax
    >>> from jepa_jax import Lanczos, jacobian
    >>> J = jacobian(lambda x: 2.0 * x, jax.numpy.ones(4))
    >>> estimate = Lanczos(steps=2)(J, jax.random.key(0))  # No error where all values are equal.
    >>> round(float(estimate.log_volume), 4), round(float(estimate.std_error), 4)  # 4 log 2
    (2.7726, 0.0)
    """

    steps: int = 20
    probes: int = 4
    sampler: Sampler = "sphere"
    rank: Rank = "structural"
    eps: float = 1e-6
    floor: float = 1e-7
    tolerance: float | None = None
    most_probes: int = adaptive.MOST_PROBES

    def __post_init__(self):
        settings.check_at_least("steps", self.steps, 1)
        settings.check_at_least("probes", self.probes, 1)
        settings.check_choice("sampler", self.sampler, Sampler)
        settings.check_choice("rank", self.rank, Rank)
        settings.check_positive("eps", self.eps)
        settings.check_fraction("floor", self.floor)
        settings.check_tolerance(self.tolerance, self.probes, self.most_probes)

    def __call__(self, jacobian: Jacobian, key: PRNGKeyArray | None = None) -> Estimate:
        """The estimate at the Jacobian's input; `key` draws the probes."""
        operator = narrow(jacobian)
        if self.tolerance is not None:
            return self._adaptive(operator, jacobian.value.dtype, key)
        size = operator.size
        start = draw(key, self.sampler, self.probes, size, jacobian.value.dtype)
        found = bidiagonalise(operator, start, min(self.steps, size))

        eps = self.eps if self.rank == "clip" else None
        values, widths = _rules(found.diagonal, found.above, eps=eps, floor=self.floor)
        volume, std_error = mean_and_error(size * values)
        rank = jnp.full(volume.shape, operator.rank(self.rank), jnp.int32)
        if eps is None:
            zeros = quadrature.zeros(found.diagonal, found.above[:, :-1], operator.width)
            volume, rank = jnp.where(zeros > 0, -jnp.inf, volume), rank - zeros
        return Estimate(
            log_volume=volume + operator.logs_of_zeros(self.rank, self.eps),
            std_error=std_error,
            bias_bound=size * widths.mean(),
            rank=rank,
        )

    def _adaptive(self, operator: Narrow, dtype: DTypeLike, key: PRNGKeyArray | None) -> Estimate:
        """The estimate within the tolerance."""
        assert self.tolerance is not None
        tolerance, size = self.tolerance, operator.size
        eps = self.eps if self.rank == "clip" else None
        function = quadrature.log_at_least(eps)

        def mean(diagonal: Array, above: Array) -> Array:
            of_gauss = functools.partial(quadrature.gauss, function)
            return size * quadrature.widened(of_gauss, diagonal, above).mean()

        def rules(diagonal: Array, above: Array, left: Array, steps: Array) -> tuple[Array, Array]:
            upper = quadrature.gauss(function, diagonal, above[:, :-1])
            if eps is not None:
                return upper, jnp.full_like(upper, jnp.nan)
            lower = quadrature.gauss_radau(function, self.floor, diagonal, left, steps)
            return upper, upper - lower

        def round_of(key: PRNGKeyArray) -> adaptive.Round:
            start = draw(key, self.sampler, self.probes, size, dtype)
            found, grown = bidiagonalise_until(operator, start, self.steps, tolerance, mean)
            part = leading(found, grown.steps)
            steps = grown.steps.astype(dtype)
            values, widths = quadrature.widened(
                rules, part.diagonal, part.above, found.above, steps
            )
            zeros = quadrature.zeros(part.diagonal, part.above[:, :-1], operator.width)
            zeros = jnp.zeros_like(zeros) if eps is not None else zeros
            values = jnp.where(zeros > 0, -jnp.inf, size * values)
            products = self.probes * grown.steps
            return adaptive.Round(values, size * widths.mean(), zeros, products)

        key = checked(key)
        found = adaptive.until(round_of, key, self.probes, tolerance, self.most_probes)
        # Of infinite values the mean is none.
        volume = jnp.where(found.zeros > 0, -jnp.inf, found.mean)
        rank = jnp.full(volume.shape, operator.rank(self.rank), jnp.int32) - found.zeros
        return Estimate(
            log_volume=volume + operator.logs_of_zeros(self.rank, self.eps),
            std_error=found.std_error,
            bias_bound=found.bias_bound,
            rank=rank,
            products=found.products,
        )

    def cost(self, k: int, d: int) -> tuple[float, float]:
        """(VJPs, JVPs) for K x D: one of each a step and probe."""
        products = float(self.probes * min(self.steps, k, d))
        return products, products


def _values(
    diagonal: Float[Array, "p m"], above: Float[Array, "p m"], *, eps: float | None, floor: float
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Each probe's value by the Gauss rule, and how far below it the other rule may be."""

    def rules(diagonal: Array, above: Array) -> tuple[Array, Array]:
        function = quadrature.log_at_least(eps)
        upper = quadrature.gauss(function, diagonal, above[:, :-1])
        if eps is not None:
            return upper, jnp.full_like(upper, jnp.nan)
        return upper, upper - quadrature.gauss_radau(function, floor, diagonal, above)

    return quadrature.widened(rules, diagonal, above)


def _gradient(
    diagonal: Float[Array, "p m"], above: Float[Array, "p m"], *, eps: float | None, floor: float
) -> tuple[Float[Array, "p m"], Float[Array, "p m-1"]]:
    gradient = lambda d, a: quadrature.gauss_gradient(eps, d, a)
    return quadrature.widened(gradient, diagonal, above[:, :-1])


def _along(kept: tuple[Array, ...], tangents: tuple[Array, ...]) -> Float[Array, " p"]:
    return (kept[0] * tangents[0]).sum(1) + (kept[1] * tangents[1][:, :-1]).sum(1)


_rules = with_derivative("gauss_rules", _values, _gradient, _along, ("eps", "floor"))
