"""Hutchinson's trace estimate of a Chebyshev expansion of the log."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jepa_jax.estimators import adaptive, quadrature, settings
from jepa_jax.estimators.bidiagonal import bidiagonalise
from jepa_jax.estimators.estimate import Estimate, Rank
from jepa_jax.estimators.narrow import Narrow, narrow
from jepa_jax.estimators.probes import Sampler, checked, draw, mean_and_error, power_of_two
from jepa_jax.jacobian_operator import Jacobian


@dataclasses.dataclass(frozen=True)
class Hutchinson:
    """1/2 tr log(J J^T) by a Chebyshev expansion on random probes, in nats.

    `rank="structural"`: the mean over P probes w of length sqrt(n) of sum_k c_k w^T T_k(X) w,
    k = 0, ..., `degree`, on the n = min(K - R, D) live dimensions. X is J J^T with [l^2, h^2]
    mapped to [-1, 1]; with q = (h - l) / (h + l), c_0 = log((h + l) / 2), c_k = -(-q)^k / k.
    `rank="clip"`: the expansion of log max(sigma, eps), and log eps for each known null direction.

    h is `upper_margin` times the largest and l is 1 / `lower_margin` of the smallest singular value
    that `interval_steps` Lanczos steps see from the first probe. l matters little; above h the
    polynomials explode, and a singular value seen there makes the score NaN.

    `std_error` is that of the mean over probes, NaN for a single one. `bias_bound` is n times the
    largest error of the expansion between `floor` times the largest singular value and h. It
    assumes that all lie there. NaN where the Lanczos steps show that to be wrong, and in clip mode.

    `tolerance`, nats: `probes` more probes at a time, `most_probes` at most, until `std_error` is
    no larger (`jepa_jax.estimators.adaptive.until`). The degree stays: what it leaves out is no
    part of that. Of each input the products taken are `products`. Without a derivative.

    A singular value of zero that is not among the null directions makes the score -inf where those
    steps see it, and is not noticed elsewhere. In derivatives the interval is held fixed.

    Raises `ValueError` on settings outside these, and where it is called without a key.

    Cost: a VJP and a JVP a step of the interval, and for every two degrees of each probe: moments
    of the order 2k come from T_k alone. With a `tolerance`, at least. Memory: `probes` x (2 K + D)
    numbers, and the intermediate values of `chunk` products.

    When to use it: where not even Lanczos's `steps` K numbers a probe are to spare, or where the
    condition is small and known: the error falls as q^degree, `floor` then makes the bound small.
    When not to: otherwise. `Lanczos` is closer at every cost that was tried and needs no interval.
    On spectra of a ViT-S/14 (K = 384, random singular vectors, VJP = 1, JVP = 1.5,
    benchmarks/frontier/results/spectra.md) the defaults cost 275 for a bias of -18, a standard
    deviation of 18 and a rank correlation of .960; the bound says nothing there. On the same
    encoder's real Jacobians they rank at .86; `std_error` is right within a tenth for the probes'
    error, but covers a quarter of all errors, not two thirds: what the expansion leaves out
    differs from image to image (benchmarks/frontier/results/grams.md).

    Source: Han, Malioutov, Shin, ICML 2015, algorithm 1, with the closed form of the coefficients.

    >>> import jax
    >>> from jepa_jax import Hutchinson, jacobian
    >>> J = jacobian(lambda x: 2.0 * x, jax.numpy.ones(4))
    >>> estimate = Hutchinson(floor=0.5)(J, jax.random.key(0))
    >>> round(float(estimate.log_volume), 3), float(estimate.bias_bound) < 1e-3  # 4 log 2
    (2.773, True)
    """

    degree: int = 50
    probes: int = 4
    sampler: Sampler = "sphere"
    interval_steps: int = 10
    lower_margin: float = 10.0
    upper_margin: float = 1.1
    rank: Rank = "structural"
    eps: float = 1e-6
    floor: float = 1e-7
    tolerance: float | None = None
    most_probes: int = adaptive.MOST_PROBES

    def __post_init__(self):
        settings.check_at_least("degree", self.degree, 1)
        settings.check_at_least("probes", self.probes, 1)
        settings.check_choice("sampler", self.sampler, Sampler)
        settings.check_at_least("interval_steps", self.interval_steps, 1)
        settings.check_choice("rank", self.rank, Rank)
        settings.check_positive("eps", self.eps)
        settings.check_fraction("floor", self.floor)
        settings.check_tolerance(self.tolerance, self.probes, self.most_probes)
        for name in ("lower_margin", "upper_margin"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")

    def __call__(self, jacobian: Jacobian, key: PRNGKeyArray | None = None) -> Estimate:
        """The estimate at the Jacobian's input; `key` draws the probes."""
        operator = narrow(jacobian)
        size = operator.size
        start = draw(key, self.sampler, self.probes, size, jacobian.value.dtype)
        seen, zeros = self._seen(operator, start[:1])
        # Squares of very large or small products would leave the type; a power of two rounds none.
        scale = power_of_two(seen[1])
        margins = jnp.asarray([1 / self.lower_margin, self.upper_margin], seen.dtype)
        ends = seen / scale * margins
        coefficients, bound = quadrature.widened(self._expansion, ends, scale)

        def values_of(start: Float[Array, "p n"]) -> Float[Array, " p"]:
            moments, escaped = _moments(operator.divided_by(scale), start, ends, self.degree)
            return jnp.where(escaped, jnp.nan, (moments * coefficients[None]).sum(1))

        products = None
        if self.tolerance is None:
            volume, std_error = mean_and_error(values_of(start))
        else:
            none = jnp.zeros((), jnp.int32)
            taken = jnp.int32(self.probes * -(-self.degree // 2))

            def round_of(key: PRNGKeyArray) -> adaptive.Round:
                probes = draw(key, self.sampler, self.probes, size, start.dtype)
                return adaptive.Round(values_of(probes), bound, none, taken)

            found = adaptive.until(
                round_of, checked(key), self.probes, self.tolerance, self.most_probes
            )
            volume, std_error = found.mean, found.std_error
            products = found.products + min(self.interval_steps, size)
        volume = volume + size * jnp.log(scale)
        rank = jnp.full(volume.shape, operator.rank(self.rank), jnp.int32)
        if self.rank == "structural":
            volume, rank = jnp.where(zeros > 0, -jnp.inf, volume), rank - zeros
        return Estimate(
            log_volume=volume + operator.logs_of_zeros(self.rank, self.eps),
            std_error=std_error,
            bias_bound=size * bound,
            rank=rank,
            products=products,
        )

    def cost(self, k: int, d: int) -> tuple[float, float]:
        """(VJPs, JVPs) for K x D: one of each a step of the interval and two degrees of a probe."""
        products = float(min(self.interval_steps, k, d) + self.probes * -(-self.degree // 2))
        return products, products

    def _seen(
        self, operator: Narrow, start: Float[Array, "1 n"]
    ) -> tuple[Float[Array, " 2"], Int[Array, ""]]:
        """The smallest and largest singular value that a few steps see, constant to derivatives,
        and how many are zero but for rounding."""
        found = bidiagonalise(operator, start, min(self.interval_steps, operator.size))
        found = jax.lax.stop_gradient(found)
        seen = found.diagonal, found.above[:, :-1]
        zeros = quadrature.zeros(*seen, operator.width)
        return quadrature.widened(quadrature.extremes, *seen), zeros

    def _expansion(
        self, ends: Float[Array, " 2"], scale: Float[Array, ""]
    ) -> tuple[Float[Array, " terms"], Float[Array, ""]]:
        """Coefficients of log sigma in Chebyshev polynomials of sigma^2, and their error."""
        if self.rank == "clip":
            return _interpolate(jnp.square(ends), self.degree, self.eps / scale), jnp.nan * ends[0]
        low, high = ends
        orders = jnp.arange(1, self.degree + 1, dtype=ends.dtype)
        ratio = (high - low) / (high + low)
        signs = jnp.where(orders % 2 == 1, 1, -1).astype(ends.dtype)
        mean = jnp.log((high + low) / 2)
        coefficients = jnp.concatenate([mean[None], signs * ratio**orders / orders])
        # All terms left out are positive at -1 and below, where they grow: the error there is the
        # largest one down to that point. T_k(-cosh t) = (-1)^k cosh k t.
        floor = self.floor * high / self.upper_margin
        point = jnp.minimum(floor, low)
        cosh = (high**2 + low**2 - 2 * point**2) / (high**2 - low**2)
        t = jnp.arccosh(jnp.maximum(cosh, 1))  # Rounding may leave less.
        terms = jnp.exp(orders * (jnp.log(ratio) + t)) + jnp.exp(orders * (jnp.log(ratio) - t))
        error = mean - (terms / (2 * orders)).sum() - jnp.log(point)
        refuted = low * self.lower_margin < floor
        return coefficients, jnp.where(refuted, jnp.nan, error)


def _interpolate(
    ends: Float[Array, " 2"], degree: int, eps: Float[Array, ""]
) -> Float[Array, " terms"]:
    """Chebyshev coefficients of log max(sqrt(x), eps), by the sum over Chebyshev points."""
    count = 8 * (degree + 1)
    angles = (jnp.arange(count, dtype=ends.dtype) + 0.5) * (jnp.pi / count)
    points = ends.mean() + (ends[1] - ends[0]) / 2 * jnp.cos(angles)
    logs = jnp.log(jnp.maximum(jnp.sqrt(jnp.maximum(points, 0)), eps))
    cosines = jnp.cos(jnp.arange(degree + 1, dtype=ends.dtype)[:, None] * angles[None])
    return (cosines * logs[None]).sum(1) / jnp.where(jnp.arange(degree + 1) == 0, count, count / 2)


def _moments(
    operator: Narrow, start: Float[Array, "p n"], ends: Float[Array, " 2"], degree: int
) -> tuple[Float[Array, "p terms"], Bool[Array, " p"]]:
    """w^T T_k(X) w for k = 0, ..., degree, X = T^T T with the squared ends mapped to -1 and 1.

    By T_2k = 2 T_k^2 - 1 and T_2k+1 = 2 T_k T_k+1 - X, two of them a product. And whether X proved
    to have an eigenvalue above 1, where the polynomials grow without bound.
    """
    count = -(-degree // 2)
    low, high = jnp.square(ends)
    norm = jnp.square(start).sum(1)

    def step(state: tuple[Array, Array], k: Array):
        current, previous = state
        image = operator.gram(current)
        escaped = jnp.square(image).sum(1) > jnp.square(high) * jnp.square(current).sum(1)
        mapped = (2 * image - (high + low) * current) / (high - low)
        following = jnp.where(k == 0, 1, 2).astype(mapped.dtype) * mapped - previous
        moments = jnp.stack([(current * following).sum(1), jnp.square(following).sum(1)], 1)
        return (following, current), (moments, escaped)

    state = start, jnp.zeros_like(start)
    _, (pairs, escaped) = jax.lax.scan(step, state, jnp.arange(count))
    first = pairs[0, :, 0]
    odd = jnp.concatenate([first[None], 2 * pairs[1:, :, 0] - first[None]])
    even = 2 * pairs[:, :, 1] - norm[None]
    ordered = jnp.stack([odd, even], 1).reshape(2 * count, -1)
    return jnp.concatenate([norm[None], ordered]).T[:, : degree + 1], escaped.any(0)
