"""Small grey images whose cosine coefficients have a known density."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.densities.density import Density, pytree


@functools.partial(pytree, data_fields=["frequencies"])
@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """S x S grey images of values in (0, 1) whose cosine coefficients have a known density.

    x = sigmoid(C^T U C), C the orthonormal DCT-II matrix and U the S x S coefficients, row by row
    a point of `frequencies`, a density on R^(S S). The map is invertible: an orthogonal one, then
    one of every pixel alone, so

        log p(x) = log p_U(C logit(x) C^T) - sum over pixels of log(x (1 - x)).

    >>> import jax.numpy as jnp
    >>> from jepa_jax.densities import Images, Mixture
    >>> images = Images(Mixture.of([1.0], np.zeros((1, 4)), [1.0]))
    >>> images.shape
    (2, 2)
    >>> round(float(images.log_prob(jnp.full((1, 2, 2), 0.5))[0]), 4)  # 4 log 4 - 2 log(2 pi)
    1.8694
    """

    frequencies: Density

    @property
    def shape(self) -> tuple[int, ...]:
        """(S, S)."""
        side = math.isqrt(self.frequencies.shape[0])
        return (side, side)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n s s"]:
        """`n` independent images."""
        u = self.frequencies.sample(key, n).reshape(n, *self.shape)
        cosines = jnp.asarray(_dct(self.shape[0]), u.dtype)
        return jax.nn.sigmoid(jnp.einsum("ia,nij,jb->nab", cosines, u, cosines))

    def log_prob(self, x: Float[Array, "n s s"]) -> Float[Array, " n"]:
        """The log-density of the pixels, nats. Values must be inside of (0, 1)."""
        cosines = jnp.asarray(_dct(self.shape[0]), x.dtype)
        logits = jnp.log(x) - jnp.log1p(-x)
        u = jnp.einsum("ia,nab,jb->nij", cosines, logits, cosines)
        slopes = (jnp.log(x) + jnp.log1p(-x)).sum((1, 2))
        return self.frequencies.log_prob(u.reshape(len(x), -1)) - slopes


@functools.lru_cache
def _dct(n: int) -> Float[np.ndarray, "n n"]:
    """The orthonormal DCT-II matrix."""
    k, i = np.arange(n)[:, None], np.arange(n)[None]
    matrix = np.sqrt(2 / n) * np.cos(np.pi * k * (2 * i + 1) / (2 * n))
    matrix[0] /= np.sqrt(2)
    return matrix
