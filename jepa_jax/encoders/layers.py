"""LayerNorm, RMSNorm and Linear.

The norms' derivatives keep one number a token beside the result.
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jepa_jax.products import product


def along_last(vector: Float[Array, " d"], x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
    """The vector at every place of `x`, stated: promotions of rank are errors in the tests."""
    return jnp.broadcast_to(vector, x.shape)


class LayerNorm(nnx.Module):
    """gamma * (x - mean) / sqrt(var + eps) + beta over the last axis."""

    def __init__(self, width: int, eps: float):
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))
        self.eps = eps

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        y = standardize(x, self.eps)
        return y * along_last(self.scale[...], y) + along_last(self.bias[...], y)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def standardize(x: Float[Array, "*n d"], eps: float) -> Float[Array, "*n d"]:
    """(x - mean) / sqrt(var + eps) over the last axis."""
    return standardize_with_scale(x, eps)[0]


def standardize_with_scale(
    x: Float[Array, "*n d"], eps: float
) -> tuple[Float[Array, "*n d"], Float[Array, "*n 1"]]:
    """`standardize`, and 1 / sqrt(var + eps)."""
    centred = x - x.mean(-1, keepdims=True)
    # The two-pass variance: E[x^2] - E[x]^2 cancels on tokens with a large mean.
    inverse = jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + eps)
    return centred * inverse, inverse


@standardize.defjvp
def _standardize_jvp(eps, primals, tangents):
    # Written out, so that only the result and one number a token are kept for the VJPs.
    y, inverse = standardize_with_scale(primals[0], eps)
    change = tangents[0] - tangents[0].mean(-1, keepdims=True)
    return y, inverse * (change - y * (y * change).mean(-1, keepdims=True))


class RMSNorm(nnx.Module):
    """gamma * x / sqrt(mean(x^2) + eps) over the last axis."""

    def __init__(self, width: int, eps: float):
        self.scale = nnx.Param(jnp.ones(width))
        self.eps = eps

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        y = divide_by_rms(x, self.eps)
        return y * along_last(self.scale[...], y)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def divide_by_rms(x: Float[Array, "*n d"], eps: float) -> Float[Array, "*n d"]:
    """x / sqrt(mean(x^2) + eps) over the last axis."""
    return x * _inverse_rms(x, eps)


def _inverse_rms(x: Float[Array, "*n d"], eps: float) -> Float[Array, "*n 1"]:
    return jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + eps)


@divide_by_rms.defjvp
def _divide_by_rms_jvp(eps, primals, tangents):
    # As `standardize`'s, without the mean.
    inverse, (change,) = _inverse_rms(primals[0], eps), tangents
    y = primals[0] * inverse
    return y, inverse * (change - y * (y * change).mean(-1, keepdims=True))


class Linear(nnx.Module):
    """x @ kernel + bias, at the precision that is set (`jepa_jax.products`)."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True):
        self.kernel = nnx.Param(jnp.zeros((inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs)) if bias else None

    def __call__(
        self, x: Float[Array, "*n i"], start: int = 0, stop: int | None = None
    ) -> Float[Array, "*n o"]:
        """The coordinates `start` to `stop` (default: all), and no others computed."""
        kernel, some = self.kernel[...], slice(start, stop)
        whole = (start, stop) == (0, None)
        y = product(x, kernel if whole else kernel[:, some])
        if self.bias is None:
            return y
        return y + along_last(self.bias[...] if whole else self.bias[some], y)
