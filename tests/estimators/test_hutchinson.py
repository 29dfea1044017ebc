"""The Chebyshev expansion on functions with a prescribed Jacobian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum
from random_methods import X, one_estimate, quadratic_forms, run, score_of_tanh

from jepa_jax import Hutchinson, jacobian

SIGMA = np.geomspace(6.0, 0.5, 12)  # A condition at which degree 120 has converged.


@pytest.mark.parametrize(("sampler", "degree"), [("sphere", 120), ("rademacher", 121)])
def test_a_converged_expansion_leaves_the_error_of_the_probes_alone(sampler, degree):
    matrix = matrix_with_spectrum(SIGMA, 40)
    settings = Hutchinson(degree=degree, sampler=sampler, lower_margin=2.0, floor=0.05)
    forms = quadratic_forms(matrix @ matrix.T, settings)
    estimate = run(settings, matrix)
    np.testing.assert_allclose(estimate.log_volume, forms.mean(), atol=1e-3)
    np.testing.assert_allclose(estimate.std_error, forms.std(ddof=1) / 2, atol=1e-3)
    assert 0 <= float(estimate.bias_bound) < 0.3
    assert int(estimate.rank) == 12


@pytest.mark.parametrize("degree", [1, 4, 7])
@pytest.mark.parametrize("lower_margin", [1.0, 2.0])
def test_the_bound_is_attained_at_the_lower_end(degree, lower_margin):
    # Rademacher probes are exact for a diagonal matrix: the only error is the expansion's. Nine of
    # ten values lie at the floor, where it is largest; two Lanczos steps see both.
    sigma = np.array([1.0] + [0.1] * 9)
    settings = Hutchinson(
        degree=degree,
        sampler="rademacher",
        interval_steps=2,
        lower_margin=lower_margin,
        upper_margin=1.001,
        floor=0.0999,
    )
    estimate = run(settings, np.diag(sigma))
    error = float(estimate.log_volume) - np.log(sigma).sum()
    bound = float(estimate.bias_bound)
    assert abs(error) <= bound
    if lower_margin == 1.0:
        assert error > 0.8 * bound


def test_the_bound_holds_below_the_interval_of_the_expansion():
    # The interval starts at .5, the values at .1: the floor, not the interval, decides the bound.
    sigma = np.array([1.0] + [0.5] * 20 + [0.1])
    common = {"degree": 10, "sampler": "rademacher", "interval_steps": 2, "lower_margin": 1.0}
    estimate = run(Hutchinson(floor=0.09, **common), np.diag(sigma))
    error = float(estimate.log_volume) - np.log(sigma).sum()
    assert 0 < error <= float(estimate.bias_bound)


def test_a_floor_that_a_ritz_value_refutes_has_no_bound():
    estimate = run(Hutchinson(floor=0.5), matrix_with_spectrum(SIGMA, 40))
    assert np.isnan(float(estimate.bias_bound))
    assert np.isfinite(float(estimate.log_volume))


def test_a_singular_value_above_the_interval_is_not_a_number():
    settings = Hutchinson(degree=60, interval_steps=1, upper_margin=1.0, sampler="rademacher")
    assert np.isnan(float(run(settings, np.diag([5.0] + [1.0] * 19)).log_volume))


def test_unbiased_with_a_standard_error_that_is_the_spread():
    matrix = jnp.asarray(matrix_with_spectrum(SIGMA, 12), jnp.float32)
    count = 400
    settings = Hutchinson(degree=120, lower_margin=2.0)

    @jax.jit
    def estimates(keys):
        one = functools.partial(one_estimate, settings, matrix, None)
        return jax.lax.map(one, keys, batch_size=50)

    result = estimates(jax.random.split(jax.random.key(0), count))
    values = np.asarray(result.log_volume, np.float64)
    spread = values.std(ddof=1)
    assert abs(values.mean() - np.log(SIGMA).sum()) < 4 * spread / np.sqrt(count)
    reported = np.sqrt(np.square(np.asarray(result.std_error, np.float64)).mean())
    # As for Lanczos: 4 standard deviations of the ratio.
    np.testing.assert_allclose(reported, spread, rtol=4 * 0.5 * np.sqrt(8 / (3 * count)))


def test_null_directions_are_left_out_or_count_log_eps_each():
    matrix = matrix_with_spectrum(SIGMA, 40)
    null = np.linalg.svd(matrix)[0][:, -2:]
    noisy = matrix - null @ null.T @ matrix + null @ np.full((2, 40), 1e-3)
    common = {"degree": 60, "lower_margin": 2.0, "eps": 1e-3}
    left_out, counted = (
        run(Hutchinson(rank=rank, **common), noisy, null) for rank in ("structural", "clip")
    )
    truth = np.log(SIGMA[:-2]).sum()
    assert abs(float(left_out.log_volume) - truth) < 4 * float(left_out.std_error)
    difference = float(counted.log_volume - left_out.log_volume)
    np.testing.assert_allclose(difference, 2 * np.log(1e-3), atol=1e-3)
    assert (int(left_out.rank), int(counted.rank)) == (10, 12)


def test_clip_counts_no_value_as_less_than_eps_and_claims_no_bound():
    sigma = np.array([4.0, 3.0, 2.0, 1.0, 0.1, 0.05])
    settings = Hutchinson(degree=200, sampler="rademacher", interval_steps=6, rank="clip", eps=0.5)
    estimate = run(settings, np.diag(sigma))
    # A kink's expansion errs by about 1 / degree where the values are.
    np.testing.assert_allclose(
        estimate.log_volume, np.log(np.maximum(sigma, 0.5)).sum(), atol=6 / 200
    )
    assert np.isnan(float(estimate.bias_bound))


def test_fewer_inputs_than_outputs():
    matrix = matrix_with_spectrum(SIGMA[:8], 12).T
    estimate = run(Hutchinson(degree=100, probes=100), matrix)
    assert int(estimate.rank) == 8
    assert abs(float(estimate.log_volume) - np.log(SIGMA[:8]).sum()) < 4 * float(estimate.std_error)


def test_one_probe_has_an_unknown_error():
    assert np.isnan(float(run(Hutchinson(probes=1), np.diag(SIGMA)).std_error))


def test_a_jacobian_that_is_not_finite_has_no_finite_score():
    matrix = matrix_with_spectrum(SIGMA, 40)
    matrix[2, 5] = np.nan
    assert np.isnan(float(run(Hutchinson(), matrix).log_volume))


def test_composes_with_transformations():
    matrix = jnp.asarray(matrix_with_spectrum(SIGMA, 40), jnp.float32)
    xs, keys = jnp.stack([X * 0.1, X * 0.2]), jax.random.split(jax.random.key(0))
    score = functools.partial(score_of_tanh, Hutchinson(), matrix)
    alone = jax.jit(score)
    expected = [alone(x, key) for x, key in zip(xs, keys, strict=True)]
    transformed = (
        jax.vmap(score),
        jax.vmap(jax.jit(score)),
    )
    for found in jax.jit(lambda xs, keys: [f(xs, keys) for f in transformed])(xs, keys):
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"degree": 0}, "`degree` must be a whole number of at least 1, got 0"),
        ({"probes": 0}, "`probes` must be a whole number of at least 1, got 0"),
        ({"interval_steps": 0}, "`interval_steps` must be a whole number of at least 1, got 0"),
        ({"lower_margin": 0.9}, "`lower_margin` must be at least 1, got 0.9"),
        ({"upper_margin": 0.9}, "`upper_margin` must be at least 1, got 0.9"),
        ({"sampler": "gaussian"}, r"`sampler` must be one of .* got 'gaussian'"),
        ({"rank": "full"}, r"`rank` must be one of .* got 'full'"),
        ({"eps": -1.0}, "`eps` must be positive, got -1.0"),
        ({"floor": 0.0}, "`floor` must be between 0 and 1, got 0.0"),
    ],
)
def test_settings_are_checked(annotations_unchecked, settings, message):
    with pytest.raises(ValueError, match=message):
        Hutchinson(**settings)


def test_without_a_key():
    with pytest.raises(ValueError, match="`key` must be a JAX random key"):
        Hutchinson()(jacobian(jnp.sin, jnp.ones(3, jnp.float32)))
