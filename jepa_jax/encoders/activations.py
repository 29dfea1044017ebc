"""Activation functions by the names that checkpoints use, with one residual each.

Plain autodiff keeps several arrays an activation for the backward pass. The derivative is all that
a VJP needs, and the largest residual of a transformer, so it is stated in closed form.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

Activation = Callable[[Array], Array]


def _with_slope(value: Activation, slope: Activation) -> Activation:
    """`value`, whose derivative is `slope`, in forward and reverse mode."""
    function = jax.custom_jvp(value)
    function.defjvp(lambda primals, tangents: (value(*primals), slope(*primals) * tangents[0]))
    return function


def _normal_cdf(x: Array) -> Array:
    # Not 1 + erf: that cancels for negative x.
    return 0.5 * jax.lax.erfc(-x * math.sqrt(0.5))


def _gelu_slope(x: Array) -> Array:
    return _normal_cdf(x) + x * jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def _tanh_gelu_inner(x: Array) -> Array:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def _tanh_gelu_slope(x: Array) -> Array:
    t = jnp.tanh(_tanh_gelu_inner(x))
    inner_slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner_slope


def _swish(x: Array, beta: float) -> Array:
    return x * jax.nn.sigmoid(beta * x)


def _swish_slope(x: Array, beta: float) -> Array:
    s = jax.nn.sigmoid(beta * x)
    return s + beta * x * s * (1 - s)


gelu = _with_slope(lambda x: x * _normal_cdf(x), _gelu_slope)
tanh_gelu = _with_slope(lambda x: 0.5 * x * (1 + jnp.tanh(_tanh_gelu_inner(x))), _tanh_gelu_slope)
silu = _with_slope(functools.partial(_swish, beta=1.0), functools.partial(_swish_slope, beta=1.0))
quick_gelu = _with_slope(
    functools.partial(_swish, beta=1.702), functools.partial(_swish_slope, beta=1.702)
)

# The erf form is a checkpoint's "gelu"; `jax.nn.gelu` defaults to the tanh one.
ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_new": tanh_gelu,
    "gelu_pytorch_tanh": tanh_gelu,
    "quick_gelu": quick_gelu,
    "relu": jax.nn.relu,
    "silu": silu,
}
