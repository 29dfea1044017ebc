"""Products at a stated precision: by the definition in NumPy, in every direction and order."""

import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jepa_jax.encoders.attention import attention
from jepa_jax.precisions import PRECISIONS
from jepa_jax.products import SETTINGS, contract, lower_precision, product

LOWER = [p for p in PRECISIONS if p != "highest"]
RNG = np.random.default_rng(0)
X, KERNEL, G = (RNG.normal(size=s).astype(np.float32) for s in ((5, 24), (24, 16), (5, 16)))
# What float32 sums of so few numbers leave, relative to the largest.
SUMS = 1e-6


def rounded(a: np.ndarray, precision: str) -> np.ndarray:
    """To 7 or 10 bits of mantissa, by other means than the library's."""
    if precision.startswith("bf16"):
        return a.astype(ml_dtypes.bfloat16).astype(np.float64)
    mantissa, exponent = np.frexp(a.astype(np.float64))
    return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent)


def expected(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    high_a, high_b = rounded(a, precision), rounded(b, precision)
    if not precision.endswith("x3"):
        return high_a @ high_b
    rest_a, rest_b = rounded(a - high_a, precision), rounded(b - high_b, precision)
    return high_a @ high_b + high_a @ rest_b + rest_a @ high_b


def close(found, wanted: np.ndarray, error: float = SUMS) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=error * np.abs(wanted).max())


@pytest.mark.parametrize("precision", LOWER)
def test_product_tangent_and_cotangents_are_rounded_as_stated(precision):
    def run(x, kernel, g, dx):
        y, pull = jax.vjp(product, x, kernel)
        return y, *pull(g), jax.jvp(lambda x: product(x, kernel), (x,), (dx,))[1]

    dx = RNG.normal(size=X.shape).astype(np.float32)
    with jax.default_matmul_precision(SETTINGS[precision]):
        y, of_x, of_kernel, along = jax.jit(run)(X, KERNEL, G, dx)
    close(y, expected(X, KERNEL, precision))
    close(of_x, expected(G, KERNEL.T, precision))
    close(of_kernel, expected(X.T, G, precision))
    close(along, expected(dx, KERNEL, precision))


@pytest.mark.parametrize(("precision", "error"), [("tf32x3", 2**-20), ("bf16x3", 2**-15)])
def test_a_split_precision_is_nearly_float32(precision, error):
    whole = X.astype(np.float64) @ KERNEL
    single = precision.removesuffix("x3")
    close(expected(X, KERNEL, precision), whole, error)
    assert np.abs(expected(X, KERNEL, single) - whole).max() > 16 * error * np.abs(whole).max()


@pytest.mark.parametrize("precision", ["bf16", "bf16x3"])
def test_many_cotangents_of_many_images_are_those_of_each(precision):
    """Whatever is batched, in whichever order: the same products of the same operands."""
    images = RNG.normal(size=(3, *X.shape)).astype(np.float32)
    cotangents = RNG.normal(size=(4, *G.shape)).astype(np.float32)

    def rows(x, cotangents):
        return jax.vmap(jax.vjp(lambda x: jnp.sin(product(x, jnp.asarray(KERNEL))), x)[1])(
            cotangents
        )[0]

    with jax.default_matmul_precision(SETTINGS[precision]):
        together = jax.jit(jax.vmap(rows, (0, None)))(images, cotangents)
        kernels = jax.jit(jax.vmap(product, (None, 0)))(X, np.stack([KERNEL, 2 * KERNEL]))
        alone = jax.jit(rows)
        for found, image in zip(together, images, strict=True):
            close(found, np.stack([alone(image, g[None])[0] for g in cotangents]))
    close(kernels[0], expected(X, KERNEL, precision))
    close(kernels[1], 2 * expected(X, KERNEL, precision))


@pytest.mark.parametrize(("precision", "error"), [("bf16", 3e-2), ("bf16x3", 2e-4)])
def test_second_derivatives_are_as_accurate_as_first_ones(precision, error):
    """A score's gradient differentiates a VJP: of a split product it has float32's accuracy too."""

    def energy(x, g):
        kernel = jnp.asarray(0.2 * KERNEL, x.dtype)
        row = jax.vjp(lambda x: jnp.sin(product(jnp.tanh(product(x, kernel)), kernel.T)), x)[1](g)
        return jnp.square(row[0]).sum()

    gradient = jax.jit(jax.grad(energy))
    g = RNG.normal(size=X.shape).astype(np.float32)
    with jax.enable_x64(True):
        wide = [np.asarray(a, np.float64) for a in (X, g)]
        whole = np.asarray(jax.grad(energy)(*wide))
    with jax.default_matmul_precision(SETTINGS[precision]):
        close(gradient(X, g), whole, error)


@pytest.mark.parametrize(("precision", "error"), [("bf16", 4e-2), ("bf16x3", 4e-4)])
def test_attention_and_its_pullback(precision, error):
    q, k, v = RNG.normal(size=(3, 2, 6, 8)).astype(np.float32)
    cotangents = RNG.normal(size=(3, 2, 6, 8)).astype(np.float32)

    def run(q, k, v, cotangents):
        out, pull = jax.vjp(attention, q, k, v)
        pushed = jax.jvp(lambda q: attention(q, k, v), (q,), (cotangents[0],))[1]
        return out, *jax.vmap(pull)(cotangents), pushed

    with jax.enable_x64(True):
        whole = jax.jit(run)(*(np.asarray(a, np.float64) for a in (q, k, v, cotangents)))
    with jax.default_matmul_precision(SETTINGS[precision]):
        found = jax.jit(run)(q, k, v, cotangents)
    for one, other in zip(map(np.asarray, found), map(np.asarray, whole), strict=True):
        close(one, other, error)
        assert np.abs(one - other).max() > 1e-3 * error * np.abs(other).max()


def test_without_a_setting_products_are_jaxs():
    assert lower_precision() is None
    with jax.default_matmul_precision("highest"):
        assert lower_precision() is None
    program = str(jax.make_jaxpr(product)(X, KERNEL))
    assert "reduce_precision" not in program
    one, two = jnp.asarray(X), jnp.asarray(KERNEL)
    np.testing.assert_array_equal(contract("ij,jk->ik", one, two, None), one @ two)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_no_product_mixes_types(platform):
    """A float32 cotangent times a bfloat16 kernel is what fast products are lost by."""

    def run(x, cotangents):
        return jax.vmap(jax.vjp(lambda x: jnp.sin(product(x, jnp.asarray(KERNEL))), x)[1])(
            cotangents
        )

    shapes = [jax.ShapeDtypeStruct(s, np.float32) for s in (X.shape, (3, *G.shape))]
    with jax.default_matmul_precision(SETTINGS["bf16"]):
        program = jax.export.export(jax.jit(run), platforms=[platform])(*shapes).mlir_module()
    products = re.findall(r"dot_general.*: \((.*)\) -> (.*)", program)
    assert len(products) == 2
    for operands, result in products:
        assert operands.count("bf16") == 2
        assert result.count("xf32") == 1
