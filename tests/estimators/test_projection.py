"""Gaussian combinations of columns: unbiased, with an error that is known beforehand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum
from random_methods import KEY, one_estimate, run, score_of_tanh

from jepa_jax import Exact, Projection, jacobian
from jepa_jax.jacobian_operator import Jacobians

SIGMA = np.geomspace(50.0, 0.05, 12)
MATRIX = matrix_with_spectrum(SIGMA, 40)


@pytest.mark.parametrize("oversampling", [1, 6])
def test_unbiased_and_the_error_is_the_stated_one(oversampling):
    count = 800
    settings = Projection(oversampling)

    @jax.jit
    def estimates(keys):
        one = functools.partial(one_estimate, settings, jnp.asarray(MATRIX, jnp.float32), None)
        return jax.lax.map(one, keys, batch_size=100)

    found = estimates(jax.random.split(jax.random.key(0), count))
    values = np.asarray(found.log_volume, np.float64)
    stated = float(found.std_error[0])
    assert (found.std_error == found.std_error[0]).all()
    assert abs(values.mean() - np.log(SIGMA).sum()) < 4 * stated / np.sqrt(count)
    # The logs of chi-squared variables have heavier tails than Gaussians, of few degrees of freedom
    # most: 5 standard deviations of the deviation of Gaussians.
    np.testing.assert_allclose(values.std(), stated, rtol=5 / np.sqrt(2 * count))
    assert set(found.rank.tolist()) == {12}
    assert set(found.bias_bound.tolist()) == {0.0}


def test_more_columns_have_less_error():
    errors = [float(run(Projection(p), MATRIX).std_error) for p in (4, 16)]
    # sqrt(log(S / p) / 2) is the limit for many dimensions.
    np.testing.assert_allclose(errors, np.sqrt(np.log([16 / 4, 28 / 16]) / 2), rtol=0.1)


def test_as_many_columns_as_inputs_are_the_exact_score():
    estimate = run(Projection(28), MATRIX)
    np.testing.assert_allclose(estimate.log_volume, np.log(SIGMA).sum(), atol=1e-3)
    assert float(estimate.std_error) == 0
    narrow = run(Projection(), MATRIX.T)  # Fewer inputs than outputs.
    np.testing.assert_allclose(narrow.log_volume, np.log(SIGMA).sum(), atol=1e-3)
    assert int(narrow.rank) == 12


def test_null_directions_are_left_out():
    null = np.linalg.svd(MATRIX)[0][:, -2:]
    noisy = MATRIX - null @ null.T @ MATRIX + null @ np.full((2, 40), 1e-3)
    estimate = run(Projection(20), noisy, null)
    assert int(estimate.rank) == 10
    assert abs(float(estimate.log_volume) - np.log(SIGMA[:-2]).sum()) < 4 * estimate.std_error


def test_a_deficient_jacobian_scores_minus_infinity():
    deficient = MATRIX.copy()
    deficient[3] = deficient[4]
    estimate = run(Projection(6), deficient)
    assert float(estimate.log_volume) == -np.inf
    assert int(estimate.rank) == 11


def layers(x):
    """Three embeddings, each of the one before."""
    first = jnp.asarray(MATRIX, x.dtype) @ jnp.tanh(x)
    return first, 2 * jnp.sin(first[:9] / 50), first[:9] * 3


@pytest.mark.parametrize("chunk", [None, 4])
def test_together_each_is_what_it_is_alone(chunk):
    x = jnp.linspace(-1, 1, 40)
    settings = Projection(5)

    @jax.jit
    def both(x):
        bases = [None, lambda z: jnp.eye(9, 1, dtype=z.dtype), None]
        together = Jacobians(layers, x, chunk=chunk, null_bases=bases)
        alone = [
            settings(jacobian(lambda x, i=i: layers(x)[i], x, null_basis=bases[i]), KEY)
            for i in range(3)
        ]
        exact = [Exact()(one) for one in together.each]
        return settings.together(together, KEY), alone, exact

    together, alone, exact = both(x)
    for one, other, truth in zip(together, alone, exact, strict=True):
        np.testing.assert_allclose(one.log_volume, other.log_volume, atol=2e-3)
        assert abs(one.log_volume - truth.log_volume) < 4 * one.std_error
        assert int(one.rank) == int(other.rank) == int(truth.rank)


def test_several_jacobians_are_what_each_is_alone():
    x = jnp.linspace(-1, 1, 40)
    together = Jacobians(layers, x, chunk=2)
    for i, one in enumerate(together.each):
        alone = jacobian(lambda x, i=i: layers(x)[i], x)
        np.testing.assert_allclose(one.value, alone.value, rtol=1e-6)
        np.testing.assert_allclose(one.dense(), alone.dense(), atol=1e-4)
        np.testing.assert_allclose(one.rows(jnp.eye(one.shape[0])), alone.dense(), atol=1e-4)
    with pytest.raises(ValueError, match="`null_bases` must be of 3 functions, got 1"):
        Jacobians(layers, x, null_bases=[None])


def test_composes_with_transformations():
    matrix = jnp.asarray(MATRIX, jnp.float32)
    x = jnp.linspace(-0.1, 0.2, 40)
    score = functools.partial(score_of_tanh, Projection(6), matrix, key=KEY)
    exact = functools.partial(score_of_tanh, Exact(), matrix, key=None)
    # With these tangents held, the derivative is that of log-volumes of J G: of the same size.
    value, gradient = jax.jit(jax.value_and_grad(score))(x)
    np.testing.assert_allclose(jax.jit(jax.vmap(score))(x[None])[0], value, atol=1e-3)
    step = 1e-2 * jnp.sign(x)
    ahead = jax.jit(lambda x: score(x + step) - score(x - step))(x) / 2
    np.testing.assert_allclose(jnp.vdot(gradient, step), ahead, rtol=0.02)
    assert np.isfinite(jax.jit(exact)(x))


def test_settings_are_checked(annotations_unchecked):
    with pytest.raises(ValueError, match="`oversampling` must be a whole number of at least 1"):
        Projection(0)
    with pytest.raises(ValueError, match="`key` must be a JAX random key"):
        Projection()(jacobian(jnp.sin, jnp.ones(3, jnp.float32)))
