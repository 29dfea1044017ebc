"""Probes: what makes the mean of their quadratic forms a trace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax.estimators import probes

SAMPLERS = ["sphere", "rademacher"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_squared_length_is_the_dimension(sampler):
    drawn = probes.draw(jax.random.key(0), sampler, 50, 37, jnp.float32)
    assert drawn.dtype == jnp.float32
    np.testing.assert_allclose(np.square(np.asarray(drawn, np.float64)).sum(1), 37, rtol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_isotropic(sampler):
    count = 20_000
    drawn = np.asarray(probes.draw(jax.random.key(1), sampler, count, 3, jnp.float32), np.float64)
    # Entries of the mean of w w^T have a standard deviation of at most 1 / sqrt(count).
    np.testing.assert_allclose(drawn.T @ drawn / count, np.eye(3), atol=5 / np.sqrt(count))
    np.testing.assert_allclose(drawn.mean(0), 0, atol=5 / np.sqrt(count))


def test_rademacher_probes_are_signs_and_sphere_probes_are_not():
    signs, sphere = (probes.draw(jax.random.key(0), s, 4, 8, jnp.float32) for s in SAMPLERS[::-1])
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert np.unique(np.abs(sphere)).size == 32


def test_the_key_decides():
    one, same, other = (
        probes.draw(jax.random.key(seed), "sphere", 2, 5, jnp.float32) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.isclose(one, other).any()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_without_a_key(sampler):
    with pytest.raises(ValueError, match=r"`key` must be a JAX random key .* got None"):
        probes.draw(None, sampler, 2, 5, jnp.float32)


def test_mean_and_standard_error():
    mean, error = probes.mean_and_error(jnp.asarray([1.0, 2.0, 3.0, 6.0], jnp.float32))
    assert float(mean) == 3
    np.testing.assert_allclose(error, np.sqrt(14 / 3 / 4), rtol=1e-6)


def test_one_probe_has_no_standard_error():
    mean, error = probes.mean_and_error(jnp.asarray([5.0], jnp.float32))
    assert float(mean) == 5
    assert np.isnan(float(error))


@pytest.mark.parametrize("failed", [np.nan, np.inf, -np.inf])
def test_a_failed_probe_is_not_averaged_away(failed):
    mean, error = probes.mean_and_error(jnp.asarray([1.0, failed, 2.0], jnp.float32))
    assert not np.isfinite(float(mean))
    assert not np.isfinite(float(error))
