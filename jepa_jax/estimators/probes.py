"""Random vectors whose quadratic forms have a trace as their mean."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

Sampler = Literal["sphere", "rademacher"]


def draw(
    key: PRNGKeyArray | None, sampler: Sampler, count: int, size: int, dtype: DTypeLike
) -> Float[Array, "p n"]:
    """`count` isotropic probes w of squared length `size`: E[w w^T] = I, so E[w^T A w] = tr A.

    "sphere": uniform on the sphere. "rademacher": independent signs. Both have a fixed length: it
    takes the part of A that is a multiple of I out of the variance, which Gaussian probes leave.

    Raises `ValueError` where there is no key.
    """
    if key is None:
        raise ValueError("`key` must be a JAX random key for a method with random probes, got None")
    if sampler == "rademacher":
        return jax.random.rademacher(key, (count, size), dtype)
    gaussian = jax.random.normal(key, (count, size), dtype)
    return gaussian * (jnp.sqrt(jnp.asarray(size, dtype)) / norms(gaussian))


def norms(vectors: Float[Array, "p n"]) -> Float[Array, "p 1"]:
    """The Euclidean length of every row, whose squares may leave the rows' type."""
    largest = jax.lax.stop_gradient(jnp.abs(vectors).max(axis=1, keepdims=True))
    # A power of two: dividing by it rounds nothing.
    usable = jnp.isfinite(largest) & (largest > 0)
    scale = jnp.exp2(jnp.round(jnp.log2(jnp.where(usable, largest, 1))))
    squares = jnp.sum(jnp.square(vectors / scale), axis=1, keepdims=True)
    # The root of zero has no derivative; its length is zero whatever moves.
    return jnp.where(squares == 0, 0, scale * jnp.sqrt(jnp.where(squares == 0, 1, squares)))


def mean_and_error(values: Float[Array, " p"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The mean over probes and its standard error: NaN, not 0, for a single probe."""
    mean = values.mean()
    if values.size == 1:
        return mean, jnp.full_like(mean, jnp.nan)
    variance = jnp.square(values - mean).sum() / (values.size - 1)
    return mean, jnp.sqrt(variance / values.size)
