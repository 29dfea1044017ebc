"""Factorisations against prescribed real spectra."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
from known import matrix_with_spectrum

from jepa_jax.estimators import factor

pytestmark = pytest.mark.usefixtures("compiled_as_ever")

SPECTRA = np.load(Path(__file__).parent.parent / "fixtures" / "spectra.npz")
METHODS = {
    "gram, float64 products": lambda a: factor.gram(a, jnp.float64),
    "gram, two passes": lambda a: factor.gram(a, a.dtype),
    "qr": factor.qr,
}
COLUMNS = 8192 + 100  # More than one block of the Gram products, and a remainder.


@functools.cache
def real(encoder, row):
    """A real spectrum's live part, and a float32 matrix that has it."""
    sigma = SPECTRA[encoder][row, :-2].astype(np.float64)
    square = matrix_with_spectrum(sigma, len(sigma))
    wide = np.pad(square, ((0, 0), (0, COLUMNS - len(sigma))))
    # Orthonormal, and sooner there than random singular vectors of this length.
    signs = np.random.default_rng(1).choice([-1.0, 1.0], COLUMNS)
    return sigma, scipy.fft.dct(wide * signs, norm="ortho").astype(np.float32)


log_volume = {n: jax.jit(lambda a, f=f: factor.log_volume(f(a))) for n, f in METHODS.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("encoder", "row", "tolerance"),
    # float32 rows of ViT-L's worst spectrum (condition 8e6) are themselves good to 1e-4 nats.
    [("vits14", 0, 1e-4), ("vits14", 1, 1e-3), ("vitl14", 0, 1e-3), ("vitl14", 1, 5e-2)],
)
def test_log_volume_of_real_spectra(method, encoder, row, tolerance):
    sigma, a = real(encoder, row)
    assert abs(float(log_volume[method](a)) - np.log(sigma).sum()) < tolerance


@pytest.mark.parametrize("method", METHODS)
def test_singular_values_of_a_real_spectrum(method):
    sigma, a = real("vits14", 0)
    found = jax.jit(lambda a: factor.singular_values(METHODS[method](a)))(a)
    # float32 rows perturb each singular value by a few units of rounding of the largest.
    np.testing.assert_allclose(found, sigma, rtol=1e-5, atol=3e-7 * sigma[0])


@pytest.mark.parametrize("method", METHODS)
def test_a_zero_singular_value_is_minus_infinity(method):
    a = matrix_with_spectrum([4.0, 2.0, 1.0], 50).astype(np.float32)
    a[1] = 0
    volume, sigma = jax.jit(
        lambda a: [f(METHODS[method](a)) for f in (factor.log_volume, factor.singular_values)]
    )(a)
    assert float(volume) == -np.inf
    np.testing.assert_allclose(sigma, np.linalg.svd(a, compute_uv=False), atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
def test_not_a_number_stays_one(method):
    a = matrix_with_spectrum([4.0, 2.0], 50).astype(np.float32)
    a[0, 0] = np.nan
    found = jax.jit(lambda a: factor.log_volume(METHODS[method](a)))(a)
    assert np.isnan(float(found))


@pytest.mark.parametrize("method", ["gram, float64 products", "gram, two passes"])
def test_memory_beyond_the_rows_is_less_than_half_of_them(method):
    shape = jax.ShapeDtypeStruct((64, 64 * 4096), jnp.float32)
    compiled = jax.jit(lambda a: factor.log_volume(METHODS[method](a))).lower(shape).compile()
    rows = 64 * 64 * 4096 * 4
    assert compiled.memory_analysis().temp_size_in_bytes < 0.5 * rows
