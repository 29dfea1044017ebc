"""Precisions of a scorer's matrix products by name, and where each is worth asking for."""

import contextlib
from collections.abc import Iterator

import jax

from jepa_jax.precisions import PRECISIONS, Precision
from jepa_jax.products import SETTINGS, cpu_multiplies_bf16
from jepa_jax.xla import default_device

# The platforms that compute products at a precision faster than in float32. The others compute the
# same numbers, for tests and calibrations. A TPU's float32 product is six of its bfloat16 ones, a
# GPU's tensor cores have both kinds.
_FASTER: dict[Precision, tuple[str, ...]] = {
    "tf32": ("gpu",),
    "tf32x3": ("gpu",),
    "bf16": ("gpu", "tpu"),
    "bf16x3": ("gpu", "tpu"),
}


def matmul_precision(precision: Precision) -> contextlib.AbstractContextManager:
    """Context in which functions are traced with an encoder's matrix products in `precision`.

    "highest": float32. "tf32" and "bf16": operands rounded to 10 and 7 bits of mantissa, sums in
    float32. "tf32x3" and "bf16x3": three such products, of what is rounded and of the rest, which
    have float32's accuracy but for a few bits: errors of 2^-21 and 2^-16 of an operand. Forward
    pass, tangents and cotangents alike; normalisations, softmax, the residual stream and K x K
    linear algebra are not affected. The numbers are the same on every platform, to the order of
    sums (`jepa_jax.products`).

    Raises `ValueError` on an unknown name.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {PRECISIONS}, got {precision!r}")
    return jax.default_matmul_precision(SETTINGS[precision])


@contextlib.contextmanager
def numerics(precision: Precision) -> Iterator[None]:
    """Context in which scores are computed: `matmul_precision`, whatever else JAX is set to.

    The same random numbers for a key, programs that are compiled, and NaN as a value: it is a
    score's where there is none, and a bound's that a method does not have. Arrays of fewer
    dimensions are broadcast.
    """
    with (
        matmul_precision(precision),
        jax.threefry_partitionable(True),
        jax.disable_jit(False),
        jax.debug_nans(False),
        jax.debug_infs(False),
    ):
        yield


def is_faster(precision: Precision, platform: str | None = None) -> bool:
    """Whether a platform (default: JAX's) has such products faster than float32's."""
    platform = platform or default_device().platform
    if platform == "cpu":
        return precision.startswith("bf16") and cpu_multiplies_bf16()
    return platform in _FASTER.get(precision, ())


def precision_in_words(precision: Precision, platform: str | None = None) -> str:
    """What is said of it before a run, with whether it gains anything on this platform.

    >>> precision_in_words("highest")
    'precision highest'
    >>> precision_in_words("tf32", "cpu")
    'precision tf32 (the numbers of a GPU or TPU, no faster here than highest)'
    """
    slow = precision != "highest" and not is_faster(precision, platform)
    gains = " (the numbers of a GPU or TPU, no faster here than highest)" if slow else ""
    return f"precision {precision}{gains}"
