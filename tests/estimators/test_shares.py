"""The shares of patches in a log-volume: known Jacobians."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum

from jepa_jax import Exact, Sketch, SketchSamples, jacobian
from jepa_jax.estimators import patch_shares

# The condition of a ViT-B's Jacobian; rows of 4 x 6 pixels of 3 channels.
SHAPE = (4, 6, 3)
SIGMA = np.geomspace(30.0, 0.002, 12)
MATRIX = matrix_with_spectrum(SIGMA, 72).astype(np.float32)


def leverages(matrix):
    """diag(A^T (A A^T)^-1 A) of a matrix of full row rank, in float64."""
    q = np.linalg.qr(np.asarray(matrix, np.float64).T)[0]
    return np.square(q).sum(1)


def of(matrix, shape=SHAPE, null_basis=None):
    return jacobian(lambda x: matrix @ x.ravel(), jnp.zeros(shape), null_basis=null_basis)


@functools.partial(jax.jit, static_argnums=0)
def estimate(estimator, matrices):
    return jax.vmap(lambda m: estimator(of(m)))(matrices)


@pytest.mark.parametrize("factor", ["auto", "svd", "qr"])
def test_of_a_known_matrix_and_their_sum(factor):
    """In a batch, too: each of its own matrix. Float32 rows of condition 2e4."""
    other = matrix_with_spectrum(SIGMA[::-1], 72, seed=5).astype(np.float32)
    found = estimate(Exact(factor=factor, shares=True), jnp.stack([MATRIX, other]))
    for shares, matrix in zip(found.shares, (MATRIX, other), strict=True):
        # By float64 Gram matrices exact; by QR in float32 to 2e4 x 6e-8.
        tolerance = 1e-6 if factor == "auto" else 3e-3
        np.testing.assert_allclose(shares, leverages(matrix), atol=tolerance)
        assert float(shares.sum()) == pytest.approx(12, abs=12 * tolerance)


def test_two_passes_in_float32_are_as_exact(monkeypatch):
    """As on an accelerator: no product over the pixels is in float64."""
    import jepa_jax.estimators.factor as factors

    def elsewhere(*arrays, default, **others):
        return default(*arrays) if "cpu" in others and len(others) == 1 else others["cpu"](*arrays)

    factor = jax.jit(lambda a: factors.gram(a, jnp.float32))(MATRIX)
    monkeypatch.setattr(factors.jax.lax, "platform_dependent", elsewhere)
    with jax.disable_jit(False):
        shares = factors.leverages(factor, jnp.asarray(MATRIX))
    np.testing.assert_allclose(shares, leverages(MATRIX), atol=2e-3)
    assert float(shares.sum()) == pytest.approx(12, abs=1e-3)


def test_patches_are_sums_of_pixels():
    exact = leverages(MATRIX).reshape(SHAPE)
    by_pixel = patch_shares(of(MATRIX))
    np.testing.assert_allclose(by_pixel, exact.sum(2), atol=1e-5)
    by_patch = patch_shares(of(MATRIX), 2)
    expected = [
        [exact[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum() for j in range(3)] for i in (0, 1)
    ]
    np.testing.assert_allclose(by_patch, expected, atol=1e-5)


def test_a_share_is_the_derivative_in_the_contrast_of_a_patch():
    """And no more than twice what the score loses without the patch."""
    where = np.zeros(SHAPE, bool)
    where[:2, 2:4] = True

    def score(scale):
        scaled = MATRIX.astype(np.float64) * np.where(where, scale, 1).ravel()
        return np.log(np.linalg.svd(scaled, compute_uv=False)).sum()

    share = float(patch_shares(of(MATRIX), 2)[0, 1])
    assert (score(1.001) - score(0.999)) / 0.002 == pytest.approx(share, rel=1e-4)
    assert score(1) - score(0) >= share / 2


def test_null_directions_have_no_share():
    """The rows of the null directions, however they are, are no part of the volume."""
    left = np.linalg.svd(MATRIX.astype(np.float64))[0]
    null = left[:, -2:]
    live = MATRIX - null @ null.T @ MATRIX
    noisy = live + null @ np.full((2, 72), 1e-6)
    shares = patch_shares(of(noisy.astype(np.float32), null_basis=jnp.asarray(null, jnp.float32)))
    expected = leverages(left[:, :-2].T @ live).reshape(SHAPE).sum(2)
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    assert float(shares.sum()) == pytest.approx(10, abs=1e-5)


def test_from_the_rows_of_a_sketch():
    """All rows: exact, in whatever basis. Fewer: theirs, in all as many as the rank."""
    rng = np.random.default_rng(0)
    omega = np.linalg.qr(rng.standard_normal((12, 12)))[0].astype(np.float32)
    exact = leverages(MATRIX).reshape(SHAPE).sum(2)
    np.testing.assert_allclose(patch_shares(of(MATRIX), cotangents=omega), exact, atol=1e-4)
    few = patch_shares(of(MATRIX), cotangents=omega[:4])
    expected = 3 * leverages(omega[:4] @ MATRIX).reshape(SHAPE).sum(2)
    np.testing.assert_allclose(few, expected, atol=1e-4)
    # The same by a calibrated sketch.
    sizes = np.geomspace(0.5, 2, 20).astype(np.float32)
    operators = [of(size * MATRIX) for size in sizes]
    calibration = SketchSamples.measure(operators, cotangents=4).fit(4).calibration
    found = Sketch(calibration, shares=True)(operators[3])
    by_hand = patch_shares(operators[3], cotangents=calibration.cotangents)
    np.testing.assert_allclose(found.shares.reshape(SHAPE).sum(2), by_hand, rtol=1e-4)
    assert float(found.shares.sum()) == pytest.approx(12, abs=1e-3)
    assert Sketch(calibration)(operators[3]).shares is None


def test_of_fewer_inputs_than_outputs_every_one_has_its_own():
    shares = patch_shares(of(MATRIX[:, :6].copy(), (2, 3)))
    np.testing.assert_array_equal(shares, np.ones((2, 3)))


def test_without_full_rank_there_are_none():
    deficient = MATRIX.copy()
    deficient[3] = 0
    assert np.isnan(patch_shares(of(deficient))).all()


def test_a_score_with_shares_has_the_same_gradient():
    def score(estimator):
        cubed = lambda x: jnp.asarray(MATRIX) @ (x.ravel() + x.ravel() ** 3)
        return jax.grad(lambda x: estimator(jacobian(cubed, x)).log_volume)(jnp.full(SHAPE, 0.1))

    np.testing.assert_allclose(score(Exact(shares=True)), score(Exact()), rtol=1e-5)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match=r"must divide the first two sides .* \(4, 6, 3\), got 4"):
        patch_shares(of(MATRIX), 4)
    with pytest.raises(ValueError, match="`patch` must be a whole number of at least 1, got 0"):
        patch_shares(of(MATRIX), 0)
    with pytest.raises(ValueError, match=r"the Jacobian's input \(72,\)"):
        patch_shares(of(MATRIX, (72,)))
    with pytest.raises(ValueError, match="`shares` needs `rank` 'structural', got 'clip'"):
        Exact(rank="clip", shares=True)
    with pytest.raises(ValueError, match="no more rows than input coordinates, 6, got 7"):
        patch_shares(of(MATRIX[:, :6].copy(), (2, 3)), cotangents=np.eye(7, 12, dtype=np.float32))
