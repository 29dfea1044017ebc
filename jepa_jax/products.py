"""Matrix products at a stated precision: the same numbers on every platform.

The precision is JAX's own setting, `jax.default_matmul_precision`, by the names of its algorithms
(`SETTINGS`): a program is compiled for it. JAX passes it on to the platform, and one that has no
such product computes another or refuses. Here operands are rounded as stated before they are
multiplied, and sums are float32, so that what a fast platform computes can be had, and tested,
anywhere. Tangents and cotangents are rounded alike: JAX's transpose of a product of rounded
operands multiplies a float32 cotangent, which is slow where low-precision products are fast.

Without a setting, or under any other, products are JAX's.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax.precisions import Precision
from jepa_jax.primitive import linear_pair

# By our names, JAX's setting.
SETTINGS: dict[Precision, str] = {
    "highest": "highest",
    "tf32": "TF32_TF32_F32",
    "bf16": "BF16_BF16_F32",
    "tf32x3": "TF32_TF32_F32_X3",
    "bf16x3": "BF16_BF16_F32_X3",
}
_NAMES: dict[str, Precision] = {
    setting: name for name, setting in SETTINGS.items() if name != "highest"
}
# Bits of a rounded operand's mantissa. An exponent has float32's 8.
_MANTISSA = {"tf32": 10, "bf16": 7}


def lower_precision() -> Precision | None:
    """The precision below float32 that products have in what is traced now; None for JAX's own."""
    setting = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return _NAMES.get(str(setting))


def product(x: Float[Array, "*n i"], kernel: Float[Array, "i o"]) -> Float[Array, "*n o"]:
    """x @ kernel at the precision that is set, whose derivatives are products at that precision."""
    precision = lower_precision()
    if precision is None:
        return x @ kernel
    flat = contract("ni,io->no", x.reshape(-1, x.shape[-1]), kernel, precision)
    return flat.reshape(*x.shape[:-1], -1)


def matmul(
    a: Float[Array, "b i j"], b: Float[Array, "b j k"], precision: Precision | None
) -> Float[Array, "b i k"]:
    """a @ b, and its derivatives, at `precision`; None: at JAX's own setting."""
    return a @ b if precision is None else contract("bij,bjk->bik", a, b, precision)


def contract(spec: str, a: Array, b: Array, precision: Precision | None) -> Array:
    """`jnp.einsum(spec, a, b)`, and its derivatives, at `precision`; None: at JAX's own setting.

    A contraction proper: every index is in two of a, b and the result, or in all three. The result
    has the type of `a`.
    """
    if precision is None:
        return jnp.einsum(spec, a, b)
    # Rounded here, once for all directions of a derivative.
    rounded = _rounded(spec, 1, jax.lax.stop_gradient(b), precision)
    return _multiply(spec, a, b, rounded, precision)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 4))
def _multiply(spec: str, a: Array, b: Array, rounded_b: Array, precision: Precision) -> Array:
    """The contraction of `a` with `b` as rounded already; b itself is there for derivatives."""
    multiply = _PRODUCTS[precision.removesuffix("x3")]
    return multiply(spec, _rounded(spec, 0, a, precision), rounded_b).astype(a.dtype)


@functools.partial(_multiply.defjvp, symbolic_zeros=True)
def _multiply_jvp(spec, precision, primals, tangents):
    a, b, rounded_b = primals
    da, db, _ = tangents
    out = _multiply(spec, a, b, rounded_b, precision)
    changes = []
    if not _is_zero(da):
        changes.append(_along(da, b, rounded_b, spec=spec, precision=precision))
    if not _is_zero(db):
        (of_a, of_b), to = _letters(spec)
        swapped = f"{of_b},{of_a}->{to}"
        rounded_a = _rounded(swapped, 1, jax.lax.stop_gradient(a), precision)
        changes.append(_along(db, a, rounded_a, spec=swapped, precision=precision))
    return out, sum(changes[1:], changes[0]) if changes else jnp.zeros_like(out)


def _is_zero(tangent) -> bool:
    return type(tangent) is jax.custom_derivatives.SymbolicZero


def _letters(spec: str) -> tuple[tuple[str, str], str]:
    operands, to = spec.split("->")
    first, second = operands.split(",")
    return (first, second), to


def _tangent(d: Array, b: Array, rounded_b: Array, *, spec: str, precision: Precision) -> Array:
    return _multiply(spec, d, b, rounded_b, precision)


def _cotangent(
    g: Array, b: Array, rounded_b: Array, *, spec: str, precision: Precision
) -> tuple[Array]:
    (of_d, of_b), to = _letters(spec)
    back = f"{to},{of_b}->{of_d}"
    if precision.endswith("x3"):  # Laid out along another index.
        rounded_b = _rounded(back, 1, b, precision)
    return (_multiply(back, g, b, rounded_b, precision),)


def _many(spec: str) -> str:
    """The contraction of a batch of first operands, which is more rows of one product."""
    (of_d, of_b), to = _letters(spec)
    return f"Z{of_d},{of_b}->Z{to}"


_along = linear_pair(
    "contraction",
    _tangent,
    _cotangent,
    lambda along, *b, spec, precision: _tangent(
        along[0], *b, spec=_many(spec), precision=precision
    ),
    lambda g, *b, spec, precision: (_cotangent(g, *b, spec=_many(spec), precision=precision), 0),
    static=("spec", "precision"),
)


def _rounded(spec: str, operand: int, x: Array, precision: Precision) -> Array:
    """What of `x`, the first or second operand of a contraction, is multiplied.

    x rounded. For a split precision x is h + r, rounded and the rest rounded, and a b about
    h r' + r h' + h h': one contraction, along a summed index laid out three times. The product of
    both rests is 2^-16 (bf16) or 2^-22 (tf32) of the whole, and left out.
    """
    kind = precision.removesuffix("x3")
    dtype = jnp.bfloat16 if kind == "bf16" else jnp.float32

    def rounded(x: Array) -> Array:
        # Before the conversion: XLA may leave out a conversion to a short type and back.
        return jax.lax.reduce_precision(x, 8, _MANTISSA[kind])

    if kind == precision:
        return rounded(x).astype(dtype)
    # Used three times: fused into each use, what x comes from would be computed as often, and
    # again what that comes from.
    x = jax.lax.optimization_barrier(x)
    high = rounded(x)
    rest = rounded(x - high).astype(dtype)
    high = high.astype(dtype)
    (first, second), to = _letters(spec)
    summed = next(letter for letter in first if letter in second and letter not in to)
    parts = (rest, high, high) if operand else (high, rest, high)
    return jnp.concatenate(parts, axis=(first, second)[operand].index(summed))


def _bf16(spec: str, a: Array, b: Array) -> Array:
    def short(a: Array, b: Array) -> Array:
        # Their type says it all: not by the algorithm that is set.
        plain = jax.lax.Precision.DEFAULT
        return jnp.einsum(spec, a, b, precision=plain, preferred_element_type=jnp.float32)

    def in_float32(a: Array, b: Array) -> Array:
        return _float32(spec, a.astype(jnp.float32), b.astype(jnp.float32))

    if cpu_multiplies_bf16():
        return short(a, b)
    return jax.lax.platform_dependent(a, b, cpu=in_float32, default=short)


def _tf32(spec: str, a: Array, b: Array) -> Array:
    fast = functools.partial(jnp.einsum, spec, precision="TF32_TF32_F32")
    exact = functools.partial(_float32, spec)
    return jax.lax.platform_dependent(a, b, cuda=fast, rocm=fast, default=exact)


def _float32(spec: str, a: Array, b: Array) -> Array:
    return jnp.einsum(spec, a, b, precision=jax.lax.Precision.HIGHEST)


_PRODUCTS: dict[str, Callable[[str, Array, Array], Array]] = {"bf16": _bf16, "tf32": _tf32}


@functools.cache
def cpu_multiplies_bf16() -> bool:
    """Whether this computer's processor has products of bfloat16 operands (AMX)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:  # Not Linux.
        return False
    return "amx_bf16" in flags
