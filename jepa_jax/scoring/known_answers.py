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
from jepa_jax.precisions import Precision
from jepa_jax.products import product
from jepa_jax.scoring.devices import Devices
from jepa_jax.scoring.numerics import numerics

# The largest error allowed, relative to the largest entry: of sums in float32, and of attention,
# whose products' operands are rounded.
_FLOAT32 = 3e-5
_ATTENTION: dict[Precision, float] = {
    "highest": 4 * _FLOAT32,
    "tf32": 1.6e-2,
    "bf16": 0.12,
    "tf32x3": 4 * _FLOAT32,
    "bf16x3": 2e-3,
}
# Of the log-volume of 48 values over three decades, nats, whatever the products are.
_VOLUME = 1e-2


class WrongNumbers(RuntimeError):
    """A device, driver or compiler that fails a known answer."""


def check_device(precision: Precision, devices: Devices | None = None) -> dict[str, float]:
    """The measured errors of `devices` by name, of each the largest: relative ones, and nats of a
    log-volume. Default, and in the place of a single one: JAX's default device.

    Once for each device, precision and setting of JAX that programs are compiled by.

    Raises `WrongNumbers` where one is larger than rounding explains, with both numbers.
    """
    # Programs for one device run on what is JAX's default one now.
    several = devices if devices is not None and devices.count > 1 else Devices(1)
    return _check(precision, several, cast(Any, jax.config).jax_enable_x64)


@functools.cache
def _check(precision: Precision, devices: Devices, x64: bool) -> dict[str, float]:
    allowed = {
        "layer_norm": _FLOAT32,
        "attention": _ATTENTION[precision],
        "product": _FLOAT32,
        "log_volume": _VOLUME,
    }
    with numerics(precision):
        errors = {
            "layer_norm": _layer_norm(devices),
            "attention": _attention(devices),
            "product": _product(devices, precision),
            "log_volume": _log_volume(devices),
        }
    wrong = [
        f"{name}: {error:.3g}, where {allowed[name]:.3g} is allowed"
        + (f" (device {devices.devices[i].id})" if devices.count > 1 else "")
        for name in allowed
        for i, error in enumerate(errors[name])
        if not error <= allowed[name]
    ]
    if wrong:
        device = devices.devices[0]
        raise WrongNumbers(
            f"{device.platform} ({device.device_kind}) computes wrong numbers at precision "
            f"{precision!r}, with jax {jax.__version__}; scores would be wrong without a word: "
            "another version of jax, the driver or the device may help\n  " + "\n  ".join(wrong)
        )
    return {name: max(of_each) for name, of_each in errors.items()}


def _relative(found: jax.Array, expected: np.ndarray) -> list[float]:
    """Of each device's result the largest error over the largest entry; infinite where one is not
    finite."""
    return [
        _finite(np.abs(np.asarray(one, np.float64) - expected).max() / np.abs(expected).max())
        for one in found
    ]


def _finite(error: float) -> float:
    return float(error) if np.isfinite(error) else float("inf")


def _layer_norm(devices: Devices) -> list[float]:
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
    return _relative(devices.each(rows)(_single(x), _single(g)), expected)


def _attention(devices: Devices) -> list[float]:
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
    return _relative(devices.each(rows)(*map(_single, (q, k, v, g))), expected)


def _product(devices: Devices, precision: Precision) -> list[float]:
    """A product, and what it pulls back, of operands that are rounded as the precision says."""
    rng = np.random.default_rng(2)
    x, kernel, g = (a.astype(np.float32) for a in rng.normal(size=(3, 256, 256)))

    def run(x: jax.Array, kernel: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull = jax.vjp(lambda x: product(x, kernel), x)
        return y, pull(g)[0]

    forward, back = devices.each(run)(*map(_single, (x, kernel, g)))
    errors = zip(
        _relative(forward, _multiplied(x, kernel, precision)),
        _relative(back, _multiplied(g, kernel.T, precision)),
        strict=True,
    )
    return [max(of_one) for of_one in errors]


def _multiplied(a: np.ndarray, b: np.ndarray, precision: Precision) -> np.ndarray:
    """a @ b by the definition of the precision, in float64."""
    wide = lambda x: x.astype(np.float64)
    if precision == "highest":
        return wide(a) @ wide(b)
    dropped = {"bf16": 16, "tf32": 13}[precision.removesuffix("x3")]
    high_a, high_b = _rounded(a, dropped), _rounded(b, dropped)
    found = wide(high_a) @ wide(high_b)
    if not precision.endswith("x3"):
        return found
    rest_a, rest_b = _rounded(a - high_a, dropped), _rounded(b - high_b, dropped)
    return found + wide(high_a) @ wide(rest_b) + wide(rest_a) @ wide(high_b)


def _rounded(a: np.ndarray, dropped: int) -> np.ndarray:
    """float32 without its last `dropped` bits, to the nearest, ties to even."""
    bits = a.view(np.uint32)
    half = np.uint32((1 << (dropped - 1)) - 1) + (bits >> np.uint32(dropped) & np.uint32(1))
    kept = bits + half & ~np.uint32((1 << dropped) - 1)
    return kept.view(np.float32)


def _log_volume(devices: Devices) -> list[float]:
    rng = np.random.default_rng(3)
    left = np.linalg.qr(rng.normal(size=(48, 48)))[0]
    right = np.linalg.qr(rng.normal(size=(400, 48)))[0]
    a = np.asarray((left * np.geomspace(1, 1e-3, 48)) @ right.T, np.float32)
    expected = np.linalg.slogdet(a.astype(np.float64) @ a.T.astype(np.float64))[1] / 2
    found = devices.each(lambda a: volume(a).value)(jnp.asarray(a))
    return [_finite(abs(float(one) - expected)) for one in found]


def _single(a: np.ndarray) -> jax.Array:
    return jnp.asarray(a, jnp.float32)
