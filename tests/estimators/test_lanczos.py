"""Stochastic Lanczos quadrature of functions with a prescribed Jacobian."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum
from random_methods import KEY, X, one_estimate, quadratic_forms, run, score_of_tanh

from jepa_jax import Lanczos, jacobian

SPECTRA = np.load(Path(__file__).parent.parent / "fixtures" / "spectra.npz")
SIGMA = np.geomspace(30.0, 0.01, 12)


@pytest.mark.parametrize(("sampler", "steps"), [("sphere", 12), ("rademacher", 50)])
def test_all_steps_leave_the_error_of_the_probes_alone(sampler, steps):
    matrix = matrix_with_spectrum(SIGMA, 40)
    settings = Lanczos(steps=steps, sampler=sampler)
    forms = quadratic_forms(matrix @ matrix.T, settings)
    estimate = run(settings, matrix)
    # As for `Exact`: float32 entries move 12 logs by up to 1e-6 * 30 / 0.01 each.
    np.testing.assert_allclose(estimate.log_volume, forms.mean(), atol=5e-3)
    np.testing.assert_allclose(estimate.std_error, forms.std(ddof=1) / 2, atol=5e-3)
    assert float(estimate.bias_bound) == 0
    assert int(estimate.rank) == 12


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("steps", [10, 30])
def test_the_bracket_holds_on_real_spectra(row, steps):
    # Derivatives of log alternate in sign, so Gauss is never below and Gauss-Radau with a node
    # below all singular values never above: with any probes, on any spectrum.
    sigma = SPECTRA["vits14"][row, :-2].astype(np.float64)
    matrix = matrix_with_spectrum(sigma, len(sigma)).astype(np.float32)
    gram = matrix.astype(np.float64) @ matrix.T.astype(np.float64)
    tight = float(0.99 * sigma[-1] / sigma[0])
    bounds = []
    for floor in (tight, 1e-7):
        settings = Lanczos(steps=steps, probes=2, floor=floor)
        truth = quadratic_forms(gram, settings).mean()
        estimate = run(settings, matrix)
        bounds.append(float(estimate.bias_bound))
        bias = float(estimate.log_volume) - truth
        assert 0 < bias < bounds[-1]
    assert bounds[0] < bounds[1]


def test_a_floor_that_a_ritz_value_refutes_has_no_bound():
    matrix = matrix_with_spectrum(np.geomspace(1, 0.01, 12), 12)
    estimate = run(Lanczos(steps=8, floor=0.5), matrix)
    assert np.isnan(float(estimate.bias_bound))
    assert np.isfinite(float(estimate.log_volume))


def test_unbiased_with_a_standard_error_that_is_the_spread():
    sigma = np.geomspace(10, 0.1, 30)
    matrix = jnp.asarray(matrix_with_spectrum(sigma * 1.7, 30), jnp.float32)
    count = 400

    @jax.jit
    def estimates(keys):
        one = functools.partial(one_estimate, Lanczos(steps=30), matrix, None)
        return jax.lax.map(one, keys, batch_size=50)

    result = estimates(jax.random.split(jax.random.key(0), count))
    values = np.asarray(result.log_volume, np.float64)
    spread = values.std(ddof=1)
    assert abs(values.mean() - np.log(sigma * 1.7).sum()) < 4 * spread / np.sqrt(count)
    # A variance estimated `count` times from 4 probes: 2 / (3 count) relative variance, and
    # 2 / count for the spread's; 4 standard deviations of half of that for the root.
    reported = np.sqrt(np.square(np.asarray(result.std_error, np.float64)).mean())
    np.testing.assert_allclose(reported, spread, rtol=4 * 0.5 * np.sqrt(8 / (3 * count)))


def test_one_probe_has_an_unknown_error():
    estimate = run(Lanczos(steps=12, probes=1), matrix_with_spectrum(SIGMA, 40))
    assert np.isfinite(float(estimate.log_volume))
    assert np.isnan(float(estimate.std_error))


def test_null_directions_are_left_out_or_count_log_eps_each():
    matrix = matrix_with_spectrum(SIGMA, 40)
    null = np.linalg.svd(matrix)[0][:, -2:]
    # The null directions of a real network are not zero but noise: it must not reach the score.
    noisy = matrix - null @ null.T @ matrix + null @ np.full((2, 40), 1e-4)
    null_basis = jnp.asarray(null, jnp.float32)
    live_basis = lambda null: jacobian(lambda x: x, jnp.ones(12), null_basis=null).live_basis()
    live = np.asarray(jax.jit(live_basis)(null_basis), np.float64).T @ noisy
    structural, clip = (Lanczos(steps=10, rank=rank, eps=1e-3) for rank in ("structural", "clip"))
    truth = quadratic_forms(live @ live.T, structural).mean()
    left_out, counted = (run(e, noisy, null) for e in (structural, clip))
    np.testing.assert_allclose(left_out.log_volume, truth, atol=5e-3)
    np.testing.assert_allclose(counted.log_volume, truth + 2 * np.log(1e-3), atol=5e-3)
    assert int(left_out.rank) == 10
    assert int(counted.rank) == 12


def test_clip_counts_no_value_as_less_than_eps_and_claims_no_bound():
    matrix = matrix_with_spectrum(SIGMA, 40)
    settings = Lanczos(steps=12, rank="clip", eps=0.5)
    truth = quadratic_forms(matrix @ matrix.T, settings, lambda s: np.log(np.maximum(s, 0.5)))
    estimate = run(settings, matrix)
    np.testing.assert_allclose(estimate.log_volume, truth.mean(), atol=1e-3)
    assert np.isnan(float(estimate.bias_bound))


@pytest.mark.parametrize(("inputs", "nulls", "ranks"), [(8, 2, (8, 8)), (11, 3, (9, 11))])
def test_fewer_inputs_than_outputs(inputs, nulls, ranks):
    matrix = matrix_with_spectrum(SIGMA, 40)[:, :inputs] * 5
    null = np.eye(12)[:, :nulls]
    matrix = matrix - null @ null.T @ matrix
    small = matrix.T @ matrix if inputs <= 12 - nulls else matrix[nulls:] @ matrix[nulls:].T
    for rank, count in zip(("structural", "clip"), ranks, strict=True):
        settings = Lanczos(steps=12, rank=rank, sampler="sphere", probes=400)
        estimate = run(settings, matrix, null)
        truth = np.linalg.slogdet(small)[1] / 2 + (count - ranks[0]) * np.log(1e-6)
        assert int(estimate.rank) == count
        assert abs(float(estimate.log_volume) - truth) < 4 * float(estimate.std_error)


def test_equal_singular_values_have_no_error():
    estimate = run(Lanczos(), 3 * np.eye(30))
    np.testing.assert_allclose(estimate.log_volume, 30 * np.log(3), rtol=1e-5)
    np.testing.assert_allclose(estimate.std_error, 0, atol=1e-4)
    np.testing.assert_allclose(estimate.bias_bound, 0, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_jacobian_that_is_not_finite_has_no_finite_score(bad):
    matrix = matrix_with_spectrum(SIGMA, 40)
    matrix[2, 5] = bad
    assert np.isnan(float(run(Lanczos(), matrix).log_volume))


def test_a_zero_that_the_steps_find_is_minus_infinity():
    estimate = run(Lanczos(steps=7), np.diag([1.0] * 5 + [0.0] * 2))
    assert float(estimate.log_volume) == -np.inf
    assert np.isnan(float(estimate.bias_bound))


@pytest.mark.usefixtures("x64")
def test_float64_keeps_the_smallest_of_a_wide_spectrum():
    sigma = np.geomspace(1e4, 1e-4, 12)
    matrix = jnp.asarray(matrix_with_spectrum(sigma, 40), jnp.float64)
    settings = Lanczos(steps=12, probes=300, floor=1e-9)
    score = lambda matrix: settings(jacobian(lambda x: matrix @ x, jnp.ones(40)), KEY)
    estimate = jax.jit(score)(matrix)
    assert estimate.log_volume.dtype == jnp.float64
    assert abs(float(estimate.log_volume) - np.log(sigma).sum()) < 4 * float(estimate.std_error)
    assert float(estimate.bias_bound) == 0


def test_composes_with_transformations():
    matrix = jnp.asarray(matrix_with_spectrum(SIGMA, 40), jnp.float32)
    xs, keys = jnp.stack([X * 0.1, X * 0.2]), jax.random.split(jax.random.key(0))
    score = functools.partial(score_of_tanh, Lanczos(steps=12), matrix)
    alone = jax.jit(score)
    expected = [alone(x, key) for x, key in zip(xs, keys, strict=True)]
    transformed = (
        jax.vmap(score),
        jax.vmap(jax.jit(score)),
        lambda xs, keys: jax.lax.map(lambda a: score(*a), (xs, keys)),
    )
    for found in jax.jit(lambda xs, keys: [f(xs, keys) for f in transformed])(xs, keys):
        np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "`steps` must be a whole number of at least 1, got 0"),
        ({"steps": 2.5}, "`steps` must be a whole number of at least 1, got 2.5"),
        ({"probes": 0}, "`probes` must be a whole number of at least 1, got 0"),
        ({"sampler": "gaussian"}, r"`sampler` must be one of .* got 'gaussian'"),
        ({"rank": "full"}, r"`rank` must be one of .* got 'full'"),
        ({"eps": 0.0}, "`eps` must be positive, got 0.0"),
        ({"floor": 1.0}, "`floor` must be between 0 and 1, got 1.0"),
    ],
)
def test_settings_are_checked(annotations_unchecked, settings, message):
    with pytest.raises(ValueError, match=message):
        Lanczos(**settings)


def test_without_a_key():
    with pytest.raises(ValueError, match="`key` must be a JAX random key"):
        Lanczos()(jacobian(jnp.sin, jnp.ones(3, jnp.float32)))
