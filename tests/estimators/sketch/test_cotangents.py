"""The choice of cotangents, on Jacobians whose singular vectors are known."""

import numpy as np
import pytest

from jepa_jax.estimators.sketch.cotangents import choose_cotangents

K, NULL = 100, 4


@pytest.fixture(scope="module")
def vectors():
    return np.linalg.qr(np.random.default_rng(0).standard_normal((K, K)))[0]


@pytest.fixture(scope="module")
def roots(vectors):
    """Common left singular vectors, the last of which are null; levels and slopes of their own."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(40):
        live = K - NULL
        sigma = np.exp(rng.normal() - rng.uniform(3, 6) * np.linspace(0, 1, live))
        right = np.linalg.qr(rng.standard_normal((live, live)))[0]
        found.append(((vectors[:, :live] * sigma) @ right.T).astype(np.float32))
    return found


def test_orthonormal_nested_and_seeded(roots):
    omega = choose_cotangents(roots, 40, seed=3)
    assert omega.dtype == np.float32
    np.testing.assert_allclose(omega @ omega.T, np.eye(40), atol=1e-6)
    np.testing.assert_array_equal(omega, choose_cotangents(roots, 40, seed=3))
    np.testing.assert_array_equal(choose_cotangents(roots, 12, seed=3), omega[:12])
    assert np.abs(omega - choose_cotangents(roots, 40, seed=4)).max() > 0.1


def test_the_middle_of_the_spectrum_and_no_null_direction(roots, vectors):
    """Of 100 directions, in descending order: those from the 9th to the 70th, and these evenly."""
    omega = choose_cotangents(roots, 12)
    shares = np.square(omega @ vectors).sum(0)
    middle = shares[8:70]
    assert np.delete(shares, np.s_[8:70]).max() < 1e-4
    assert middle.sum() == pytest.approx(12, abs=1e-3)
    # Of uniformly random rows, the shares' relative standard deviation is sqrt(2 / 12) = .41.
    assert middle.std() / middle.mean() < 0.27


def test_more_than_the_middle_where_more_are_asked_for(roots, vectors):
    omega = choose_cotangents(roots, 80)
    shares = np.square(omega @ vectors).sum(0)
    np.testing.assert_allclose(shares[8:88], 1, atol=1e-3)
    whole = choose_cotangents(roots, K)
    np.testing.assert_allclose(whole.T @ whole, np.eye(K), atol=1e-5)


def test_nothing_is_left_out_where_images_have_nothing_in_common():
    """Singular vectors of their own: the rows see new images as they see these."""
    rng = np.random.default_rng(0)
    sigma = np.exp(-4 * np.linspace(0, 1, K))
    many = [np.linalg.qr(rng.standard_normal((K, K)))[0] * sigma for _ in range(60)]
    omega = choose_cotangents(many[:30], 24)

    def level(roots):
        return np.mean([np.log(np.square(omega @ root).sum()) for root in roots])

    assert level(many[:30]) == pytest.approx(level(many[30:]), abs=0.02)
    mean = sum(log_gram(root) for root in many[:30])
    shares = np.square(omega @ np.linalg.eigh(mean)[1]).sum(0)
    assert shares[:30].mean() == pytest.approx(0.24, abs=0.04)
    assert shares[92:].mean() == pytest.approx(0.24, abs=0.06)


def log_gram(root):
    left, sigma, _ = np.linalg.svd(root)
    return (left * np.log(sigma)) @ left.T


def test_errors(roots):
    with pytest.raises(ValueError, match="`count` must be from 1 to K = 100 of 40 roots, got 101"):
        choose_cotangents(roots, 101)
    with pytest.raises(ValueError, match="`count` must be from 1 to K = 0 of 0 roots, got 4"):
        choose_cotangents([], 4)
