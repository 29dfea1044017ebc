"""The log-volume of a Jacobian from Gaussian combinations of its columns: forward mode alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.estimators import settings
from jepa_jax.estimators import volume as volumes
from jepa_jax.estimators.estimate import Estimate
from jepa_jax.jacobian_operator import Draw, Jacobian, Jacobians


@dataclasses.dataclass(frozen=True)
class Projection:
    """The log-volume of J G less its mean over Gaussian G, in nats: unbiased, its error known.

    G is D x S with independent entries of variance 1, S = n + `oversampling`, n = K - R the live
    dimensions. With J = U diag(sigma) V^T, det(J G G^T J^T) is the product of sigma^2 times
    det(W W^T), W = V^T G of n x S independent entries: the product of independent chi-squared
    variables of S, S - 1, ..., S - n + 1 degrees of freedom, whatever J is. So
    1/2 logdet(J G G^T J^T) - 1/2 sum_v (psi(v/2) + log 2), v over these, has the mean
    sum log sigma, and its standard deviation `std_error` = sqrt(sum_v psi'(v/2)) / 2, about
    sqrt(log(S / oversampling) / 2), is the same for every image. `bias_bound` is 0. Where D <= S,
    the D columns themselves are taken: the exact score.

    A singular value of zero makes the score -inf, as by `Exact`.

    Raises `ValueError` on less than one column more than n, and where it is called without a key.

    Cost: S JVPs, one for the Jacobians of several functions of one input (`together`), and some
    n^3 operations. Memory: `chunk` tangents of D numbers, and n x S: never K x D.

    When to use it: for embeddings at several depths, which `together` scores in one forward pass a
    tangent; where the K x D rows of `Exact` do not fit. When not to: for one embedding whose rows
    fit, where `Exact` costs no more and has no error; at a precision of the products that rounds
    more than float32 does, which the J G of S columns resists less than the D columns do, by
    sqrt(D / oversampling).

    Source: the determinant of a Wishart matrix, as in Muirhead, Aspects of Multivariate Statistical
    Theory, 1982, theorem 3.2.15.

    >>> import jax
    >>> from jepa_jax import Projection, jacobian
    >>> J = jacobian(lambda x: 2.0 * x[:4], jax.numpy.ones(100))
    >>> estimate = Projection()(J, jax.random.key(0))
    >>> round(float(estimate.std_error), 3)
    0.175
    >>> abs(float(estimate.log_volume) - 2.7726) < 4 * 0.175  # 4 log 2
    True
    """

    oversampling: int = 64

    def __post_init__(self):
        settings.check_at_least("oversampling", self.oversampling, 1)

    def __call__(self, jacobian: Jacobian, key: PRNGKeyArray | None = None) -> Estimate:
        """The estimate at the Jacobian's input; `key` draws the tangents."""
        count = self._count(jacobian)
        return self._estimate(
            jacobian, jacobian.columns_along(_tangents(jacobian, count, key), count)
        )

    def together(self, jacobians: Jacobians, key: PRNGKeyArray | None = None) -> list[Estimate]:
        """The estimate of each of several Jacobians, by the JVPs of the one that needs most.

        Each is what it is alone, to rounding: the tangents are the same.
        """
        counts = [self._count(one) for one in jacobians.each]
        if not jacobians.each:
            return []
        draw = _tangents(jacobians.each[0], max(counts), key)
        columns = jacobians.columns_along(draw, max(counts))
        each = zip(jacobians.each, columns, counts, strict=True)
        return [self._estimate(one, found[:count]) for one, found, count in each]

    def cost(self, k: int, d: int) -> tuple[float, float]:
        """(VJPs, JVPs) for K x D."""
        return 0.0, float(min(k + self.oversampling, d))

    def _count(self, jacobian: Jacobian) -> int:
        return min(jacobian.live + self.oversampling, jacobian.shape[1])

    def _estimate(self, jacobian: Jacobian, columns: Float[Array, "s k"]) -> Estimate:
        d, size = jacobian.shape[1], min(jacobian.live, jacobian.shape[1])
        a = columns @ jacobian.live_basis()
        found = volumes.volume(a.T if len(a) >= a.shape[1] else a)
        value = found.value
        mean, deviation = (0.0, 0.0) if len(columns) == d else _of_gaussians(size, len(columns))
        return Estimate(
            log_volume=value - mean,
            std_error=jnp.full_like(value, deviation),
            bias_bound=jnp.zeros_like(value),
            rank=found.rank,
        )


def _tangents(jacobian: Jacobian, count: int, key: PRNGKeyArray | None) -> Draw:
    """The i-th of `count` tangents: Gaussian, each from the key and its own number; the unit
    vectors where they are no more."""
    d, dtype = jacobian.shape[1], jacobian.value.dtype
    if key is None:
        raise ValueError("`key` must be a JAX random key for a method with random probes, got None")
    if count == d:
        return lambda i: jax.nn.one_hot(i, d, dtype=dtype)
    # Of Threefry: with other generators numbers depend on how many are drawn at once.
    words = jax.random.bits(key, (2,), np.uint32)
    own = jax.random.wrap_key_data(words, impl="threefry2x32")
    return lambda i: jax.random.normal(jax.random.fold_in(own, i), (d,), dtype)


def _of_gaussians(rows: int, columns: int) -> tuple[float, float]:
    """Mean and standard deviation of the log-volume of so many rows of independent Gaussians."""
    from scipy.special import polygamma, psi  # Slow to import, and of no use to other methods.

    half = np.arange(columns - rows + 1, columns + 1) / 2
    mean = 0.5 * (psi(half) + np.log(2)).sum()
    return float(mean), float(0.5 * np.sqrt(polygamma(1, half).sum()))
