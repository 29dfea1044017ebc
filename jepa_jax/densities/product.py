"""Independent blocks of coordinates."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.densities.density import Density, pytree


@functools.partial(pytree, data_fields=["factors"])
@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """prod_i p_i(x_i): independent blocks of coordinates, one density of vectors each.

    >>> import jax.numpy as jnp
    >>> from jepa_jax.densities.mixture import Mixture
    >>> from jepa_jax.densities.product import Product
    >>> two_peaks = Mixture.of([1, 1], [[-2.0], [2.0]], [0.25, 0.25])
    >>> Product((two_peaks, two_peaks)).shape
    (2,)
    """

    factors: tuple[Density, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(D,), the sum of the factors' dimensions."""
        return (sum(factor.shape[0] for factor in self.factors),)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent points."""
        keys = jax.random.split(key, len(self.factors))
        return jnp.concatenate(
            [factor.sample(k, n) for factor, k in zip(self.factors, keys, strict=True)], axis=1
        )

    def log_prob(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The sum of the factors' log-densities, nats."""
        ends = np.cumsum([factor.shape[0] for factor in self.factors])[:-1]
        blocks = jnp.split(x, ends, axis=1)
        return sum(
            (f.log_prob(block) for f, block in zip(self.factors, blocks, strict=True)),
            start=jnp.zeros(len(x), x.dtype),
        )
