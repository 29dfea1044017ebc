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
    key = checked(key)
    if sampler == "rademacher":
        return jax.random.rademacher(key, (count, size), dtype)
    gaussian = jax.random.normal(key, (count, size), dtype)
    return gaussian * (jnp.sqrt(jnp.asarray(size, dtype)) / norms(gaussian))


def checked(key: PRNGKeyArray | None) -> PRNGKeyArray:
    """The key; `ValueError` where there is none."""
    if key is None:
        raise ValueError("`key` must be a JAX random key for a method with random probes, got None")
    return key


def norms(vectors: Float[Array, "p n"]) -> Float[Array, "p 1"]:
    """The Euclidean length of every row, whose squares may leave the rows' type."""
    largest = jax.lax.stop_gradient(jnp.abs(vectors).max(axis=1, keepdims=True))
    scale = power_of_two(largest)
    squares = jnp.sum(jnp.square(vectors / scale), axis=1, keepdims=True)
    # The root of zero has no derivative; its length is zero whatever moves.
    return jnp.where(squares == 0, 0, scale * jnp.sqrt(jnp.where(squares == 0, 1, squares)))


def power_of_two(size: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """The power of two next to a size, 1 for one of zero or not finite: dividing rounds nothing."""
    usable = jnp.isfinite(size) & (size > 0)
    # No more than what has an inverse that is not subnormal: compilers multiply by that.
    exponent = jnp.round(jnp.log2(jnp.where(usable, size, 1)))
    exponent = jnp.minimum(exponent, jnp.finfo(size.dtype).maxexp - 2).astype(jnp.int32)
    # Not `exp2`: XLA's, in float32 on a CPU, is up to 7e-6 beside the power.
    return jnp.ldexp(jnp.ones_like(size), exponent)


def mean_and_error(values: Float[Array, " p"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The mean over probes and its standard error: NaN, not 0, for a single probe."""
    mean = values.mean()
    if values.size == 1:
        return mean, jnp.full_like(mean, jnp.nan)
    variance = jnp.square(values - mean).sum() / (values.size - 1)
    return mean, jnp.sqrt(variance / values.size)
