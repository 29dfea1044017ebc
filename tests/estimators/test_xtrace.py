"""XTrace on functions with a prescribed Jacobian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum
from random_methods import KEY, X, one_estimate, run, score_of_tanh

from jepa_jax import Lanczos, XTrace, jacobian
from jepa_jax.estimators import xtrace

SIGMA = np.geomspace(10.0, 0.1, 30)
OUTLIERS = np.concatenate([np.full(37, 1.5), [200.0, 500.0, 1000.0]])


def spread(settings, matrix, count=200):
    """Estimates and their reported errors over many keys."""
    matrix = jnp.asarray(matrix, jnp.float32)
    keys = jax.random.split(jax.random.key(0), count)
    one = functools.partial(one_estimate, settings, matrix, None)
    result = jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=50))(keys)
    return (np.asarray(a, np.float64) for a in (result.log_volume, result.std_error))


def test_leaving_one_out_is_what_it_says():
    rng = np.random.default_rng(3)
    size, count = 10, 4
    matrix = rng.standard_normal((size, size))
    matrix = matrix + matrix.T
    w = rng.standard_normal((count, size))
    expected = []
    for i in range(count):
        others = np.linalg.qr(matrix @ np.delete(w, i, axis=0).T)[0]
        rest = w[i] - others @ (others.T @ w[i])
        hutchinson = rest @ matrix @ rest * (size - count + 1) / (rest @ rest)
        expected.append(np.trace(others.T @ matrix @ others) + hutchinson)
    start, a = (jnp.asarray(v, jnp.float32) for v in (w, matrix))
    found = jax.jit(lambda w, a: xtrace._leave_one_out(lambda v: v @ a, w, w @ a))(start, a)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_outliers_on_a_flat_spectrum_leave_little_error():
    matrix = matrix_with_spectrum(OUTLIERS, 40)
    ours, _ = spread(XTrace(steps=5, products=20), matrix)
    theirs, _ = spread(Lanczos(steps=5, probes=20), matrix)
    truth = np.log(OUTLIERS).sum()
    assert abs(ours.mean() - truth) < 4 * ours.std() / np.sqrt(ours.size)
    assert ours.std() < 0.25 * theirs.std()


@pytest.mark.parametrize("products", [4, 10, 24])
def test_unbiased_with_a_standard_error_near_the_spread(products):
    values, errors = spread(XTrace(steps=30, products=products), matrix_with_spectrum(SIGMA, 30))
    deviation = values.std(ddof=1)
    assert abs(values.mean() - np.log(SIGMA).sum()) < 4 * deviation / np.sqrt(values.size)
    # 2, 5 and 12 estimates share most of their space: as of independent ones it is 10 to 25 % less.
    # Of 200 values the ratio is known to 5 %, of two estimates each to 10 %.
    assert 0.85 < np.sqrt(np.square(errors).mean()) / deviation < 1.2


def test_an_even_spectrum_is_lanczos_ground():
    matrix = matrix_with_spectrum(SIGMA, 30)
    ours, _ = spread(XTrace(steps=30, products=8), matrix)
    theirs, _ = spread(Lanczos(steps=30, probes=8), matrix)
    assert ours.std() > 1.15 * theirs.std()


@pytest.mark.parametrize("value", [1.0, 3.0])
def test_equal_singular_values_have_no_error(value):
    estimate = run(XTrace(), value * np.eye(30))
    np.testing.assert_allclose(estimate.log_volume, 30 * np.log(value), atol=1e-4)
    np.testing.assert_allclose(estimate.std_error, 0, atol=1e-4)


def test_null_directions_are_left_out_or_count_log_eps_each():
    matrix = matrix_with_spectrum([2.0] * 28 + [1e-2] * 2, 40)
    null = np.linalg.svd(matrix)[0][:, -2:]
    structural, clip = (
        run(XTrace(rank=rank, eps=1e-3), matrix, null) for rank in ("structural", "clip")
    )
    truth = 28 * np.log(2)
    np.testing.assert_allclose(structural.log_volume, truth, atol=1e-3)
    np.testing.assert_allclose(clip.log_volume, truth + 2 * np.log(1e-3), atol=1e-3)
    assert (int(structural.rank), int(clip.rank)) == (28, 30)
    assert np.isnan(float(structural.bias_bound))


def test_clip_counts_no_value_as_less_than_eps():
    sigma = np.geomspace(2.0, 1e-3, 30)
    estimate = run(XTrace(rank="clip", eps=2.0), matrix_with_spectrum(sigma, 40))
    np.testing.assert_allclose(estimate.log_volume, 30 * np.log(2), atol=1e-3)


def test_fewer_inputs_than_outputs():
    estimate = run(XTrace(products=10), matrix_with_spectrum([3.0] * 20, 40).T)
    assert int(estimate.rank) == 20
    np.testing.assert_allclose(estimate.log_volume, 20 * np.log(3), atol=1e-3)


def test_a_jacobian_that_is_not_finite_has_no_finite_score():
    matrix = matrix_with_spectrum(SIGMA, 40)
    matrix[2, 5] = np.nan
    assert np.isnan(float(run(XTrace(steps=4), matrix).log_volume))


def test_composes_with_transformations():
    matrix = jnp.asarray(matrix_with_spectrum(SIGMA, 40), jnp.float32)
    xs, keys = jnp.stack([X * 0.1, X * 0.2]), jax.random.split(jax.random.key(0))
    score = functools.partial(score_of_tanh, XTrace(steps=8), matrix)
    alone = jax.jit(score)
    expected = [alone(x, key) for x, key in zip(xs, keys, strict=True)]
    transformed = (
        jax.vmap(score),
        jax.vmap(jax.jit(score)),
    )
    for found in jax.jit(lambda xs, keys: [f(xs, keys) for f in transformed])(xs, keys):
        np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "`steps` must be a whole number of at least 1, got 0"),
        ({"products": 2}, "`products` must be a whole number of at least 4, got 2"),
        ({"products": 7}, "`products` must be even, got 7"),
        ({"rank": "full"}, r"`rank` must be one of .* got 'full'"),
        ({"eps": 0.0}, "`eps` must be positive, got 0.0"),
    ],
)
def test_settings_are_checked(annotations_unchecked, settings, message):
    with pytest.raises(ValueError, match=message):
        XTrace(**settings)


def test_more_products_than_dimensions():
    operator = jacobian(jnp.sin, jnp.ones(6, jnp.float32))
    with pytest.raises(ValueError, match=r"`products` must be at most 6 .* got 8"):
        XTrace(products=8)(operator, KEY)


def test_without_a_key():
    with pytest.raises(ValueError, match="`key` must be a JAX random key"):
        XTrace(products=4)(jacobian(jnp.sin, jnp.ones(6, jnp.float32)))
