"""Matrix-product precisions by name, and what each platform has of them."""

import contextlib
from collections.abc import Iterator
from typing import Literal, get_args

import jax

from jepa_jax.xla import default_device

Precision = Literal["highest", "tf32", "bf16"]

# XLA computes float32 products on a CPU whatever it is asked for: a name that changes nothing
# would be a lie in the manifest.
_PRESETS: dict[str, dict[str, str]] = {
    "cpu": {"highest": "highest"},
    "gpu": {"highest": "highest", "tf32": "tensorfloat32", "bf16": "BF16_BF16_F32"},
    "tpu": {"highest": "highest", "bf16": "bfloat16"},
}


def matmul_precision(
    precision: Precision, platform: str | None = None
) -> contextlib.AbstractContextManager:
    """Context in which functions are traced with matrix products in `precision`.

    "highest": float32 everywhere. "tf32": inputs rounded to 10 bits of mantissa (GPU). "bf16":
    inputs rounded to 7 bits, sums in float32 (GPU, TPU). K x K linear algebra is not affected.

    Raises `ValueError` on an unknown name, or one that the platform does not have.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"`precision` must be one of {get_args(Precision)}, got {precision!r}")
    on: str = default_device().platform if platform is None else platform
    presets = _PRESETS.get(on, _PRESETS["gpu"])
    if precision not in presets:
        raise ValueError(
            f"`precision` {precision!r} is not available on {on}: "
            f"use {' or '.join(map(repr, presets))}"
        )
    return jax.default_matmul_precision(presets[precision])


@contextlib.contextmanager
def numerics(precision: Precision) -> Iterator[None]:
    """Context in which scores are computed: `matmul_precision`, whatever else JAX is set to.

    The same random numbers for a key, programs that are compiled, and NaN as a value: it is a
    score's where there is none, and a bound's that a method does not have.
    """
    with (
        matmul_precision(precision),
        jax.threefry_partitionable(True),
        jax.disable_jit(False),
        jax.debug_nans(False),
        jax.debug_infs(False),
    ):
        yield
