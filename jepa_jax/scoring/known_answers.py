"""A device is believed after a check: small programs of a score's kinds, with known answers.

The VJPs of a LayerNorm for many cotangents, those of attention, a product at the precision asked
for, and a log-volume: against NumPy in float64. Drivers and compilers have given wrong numbers
without a word (see `jepa_jax.xla`). Once a process and precision, in a second or two, most of which
is compiling.
"""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jepa_jax.encoders.attention import attention
from jepa_jax.encoders.layers import standardize
from jepa_jax.estimators.volume import volume
from jepa_jax.scoring.precision import Precision, numerics
from jepa_jax.xla import default_device, jit

# The largest error allowed, relative to the largest entry: of sums in float32, and of products
# whose operands have so many bits.
_FLOAT32 = 3e-5
_PRODUCTS: dict[str, float] = {"highest": _FLOAT32, "tf32": 4e-3, "bf16": 3e-2}
# Of the log-volume of 48 values over three decades, nats, whatever the products are.
_VOLUME = 1e-2


class WrongNumbers(RuntimeError):
    """A device, driver or compiler that fails a known answer."""


def check_device(precision: Precision) -> dict[str, float]:
    """The measured errors of JAX's default device by name: relative ones, and nats of a log-volume.

    Once for each device, precision and setting of JAX that programs are compiled by.

    Raises `WrongNumbers` where one is larger than rounding explains, with both numbers.
    """
    return _check(precision, default_device(), cast(Any, jax.config).jax_enable_x64)


@functools.cache
def _check(precision: Precision, device: Any, x64: bool) -> dict[str, float]:
    allowed = {
        "layer_norm": _FLOAT32,
        "attention": 4 * _PRODUCTS[precision],
        "product": _PRODUCTS[precision],
        "log_volume": _VOLUME,
    }
    with numerics(precision):
        errors = {
            "layer_norm": _layer_norm(),
            "attention": _attention(),
            "product": _product(),
            "log_volume": _log_volume(),
        }
    wrong = [
        f"{name}: {errors[name]:.3g}, where {allowed[name]:.3g} is allowed"
        for name in allowed
        if not errors[name] <= allowed[name]
    ]
    if wrong:
        raise WrongNumbers(
            f"{device.platform} ({device.device_kind}) computes wrong numbers at precision "
            f"{precision!r}, with jax {jax.__version__}; scores would be wrong without a word: "
            "another version of jax, the driver or the device may help\n  " + "\n  ".join(wrong)
        )
    return errors


def _relative(found: jax.Array, expected: np.ndarray) -> float:
    """The largest error over the largest entry; infinite where one is not finite."""
    error = np.abs(np.asarray(found, np.float64) - expected).max() / np.abs(expected).max()
    return float(error) if np.isfinite(error) else float("inf")


def _layer_norm() -> float:
    """64 x 64 x 256 elements: enough for the fusions that were wrong."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 256)) + rng.normal(size=(64, 1))
    g = rng.normal(size=(64, 64, 256))

    def rows(x: jax.Array, g: jax.Array) -> jax.Array:
        pull = jax.vjp(lambda x: standardize(x, 1e-6), x)[1]
        return jax.vmap(pull)(g)[0]

    centred = x - x.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-6)
    y = centred * inverse
    expected = inverse * (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True))
    return _relative(jit(rows)(_single(x), _single(g)), expected)


def _attention() -> float:
    """The pullback to queries, keys and values of 16 cotangents: 4 heads, 24 tokens."""
    rng = np.random.default_rng(1)
    q, k, v = rng.normal(size=(3, 4, 24, 16))
    g = rng.normal(size=(16, 4, 24, 16))

    def rows(q: jax.Array, k: jax.Array, v: jax.Array, g: jax.Array) -> jax.Array:
        return jnp.stack(jax.vmap(jax.vjp(attention, q, k, v)[1])(g))

    logits = q @ k.swapaxes(-1, -2)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    change = g @ v.swapaxes(-1, -2)
    change = weights * (change - (change * weights).sum(-1, keepdims=True))
    expected = np.stack([change @ k, change.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ g])
    return _relative(jit(rows)(*map(_single, (q, k, v, g))), expected)


def _product() -> float:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 256, 256))
    return _relative(jit(jnp.matmul)(_single(a), _single(b)), a @ b)


def _log_volume() -> float:
    rng = np.random.default_rng(3)
    left = np.linalg.qr(rng.normal(size=(48, 48)))[0]
    right = np.linalg.qr(rng.normal(size=(400, 48)))[0]
    a = np.asarray((left * np.geomspace(1, 1e-3, 48)) @ right.T, np.float32)
    expected = np.linalg.slogdet(a.astype(np.float64) @ a.T.astype(np.float64))[1] / 2
    found = float(jit(lambda a: volume(a).value)(jnp.asarray(a)))
    return abs(found - expected) if np.isfinite(found) else float("inf")


def _single(a: np.ndarray) -> jax.Array:
    return jnp.asarray(a, jnp.float32)
