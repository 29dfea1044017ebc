"""The exact score of functions with a prescribed Jacobian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import function_with_jacobian, matrix_with_spectrum

from jepa_jax import Exact, jacobian

FACTORS = ["auto", "svd", "gram", "qr"]
SIGMA = np.geomspace(30.0, 0.01, 12)
X = np.random.default_rng(1).standard_normal(40).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0, static_argnames="chunk")
def run(exact, matrix, null_basis=None, chunk=None):
    """The estimate for a nonlinear function whose Jacobian is `matrix`."""
    matrix = matrix.astype(jnp.float32)
    x = jnp.asarray(X[: matrix.shape[1]])
    f = function_with_jacobian(matrix, x)
    return exact(jacobian(f, x, chunk=chunk, null_basis=null_basis))


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("chunk", [None, 5])
def test_sum_of_log_singular_values(factor, chunk):
    exact = Exact(factor=factor, spectrum=True)
    estimate = run(exact, matrix_with_spectrum(SIGMA, 40), chunk=chunk)
    # float32 entries move a singular value by about 1e-6 of the largest: 12 * 3e-5 / 0.01 at most.
    np.testing.assert_allclose(estimate.log_volume, np.log(SIGMA).sum(), atol=5e-3)
    np.testing.assert_allclose(estimate.singular_values, SIGMA, atol=3e-5)
    assert int(estimate.rank) == 12
    assert float(estimate.std_error) == 0
    assert float(estimate.bias_bound) == 0


@pytest.mark.parametrize("factor", FACTORS)
def test_fewer_inputs_than_outputs(factor):
    matrix = matrix_with_spectrum(SIGMA, 40)[:, :12].T  # Any (12, 12) matrix will do below.
    tall = np.concatenate([matrix, matrix_with_spectrum(SIGMA, 12)])
    expected = np.linalg.svd(tall, compute_uv=False)
    estimate = run(Exact(factor=factor, spectrum=True), tall)
    assert int(estimate.rank) == 12
    np.testing.assert_allclose(estimate.log_volume, np.log(expected).sum(), atol=5e-3)
    np.testing.assert_allclose(estimate.singular_values, expected, atol=5e-5)


@pytest.mark.parametrize("factor", FACTORS)
def test_structural_rank_leaves_the_null_directions_out(factor):
    matrix = matrix_with_spectrum(SIGMA, 40)
    left = np.linalg.svd(matrix)[0]
    null = left[:, -2:]
    # The null directions of a real network are not zero but noise: it must not reach the score.
    noisy = matrix - null @ null.T @ matrix + null @ np.full((2, 40), 1e-7)
    estimate = run(Exact(factor=factor), noisy, jnp.asarray(null, jnp.float32))
    assert int(estimate.rank) == 10
    np.testing.assert_allclose(estimate.log_volume, np.log(SIGMA[:-2]).sum(), atol=5e-3)


@pytest.mark.parametrize("factor", FACTORS)
def test_clip_counts_every_value_and_no_less_than_eps(factor):
    sigma = np.concatenate([SIGMA[:-2], [0.0, 0.0]])
    null = np.zeros((12, 2))
    null[:2, :] = np.eye(2)
    clip = Exact(rank="clip", eps=1e-3, factor=factor)
    estimate = run(clip, matrix_with_spectrum(sigma, 40), jnp.asarray(null, jnp.float32))
    assert int(estimate.rank) == 12
    expected = np.log(SIGMA[:-2]).sum() + 2 * np.log(1e-3)
    np.testing.assert_allclose(estimate.log_volume, expected, atol=5e-3)


@pytest.mark.parametrize("factor", ["auto", "gram", "qr"])
def test_deficient_rank_is_minus_infinity(factor):
    matrix = matrix_with_spectrum(SIGMA, 40)
    matrix[3] = 0
    assert float(run(Exact(factor=factor), matrix).log_volume) == -np.inf


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("rank", ["structural", "clip"])
def test_float64_is_exact_to_its_rounding(factor, rank):
    sigma = np.geomspace(1e3, 1e-4, 12)
    matrix, x = matrix_with_spectrum(sigma, 40), X.astype(np.float64)

    @jax.jit
    def run(x, matrix):
        return Exact(factor=factor, rank=rank)(jacobian(function_with_jacobian(matrix, x), x))

    estimate = run(x, matrix)
    assert estimate.log_volume.dtype == jnp.float64
    # u sigma_max / sigma_min = 1e-9 for the smallest value.
    np.testing.assert_allclose(estimate.log_volume, np.log(sigma).sum(), atol=1e-8)


@pytest.mark.parametrize("settings", [{}, {"rank": "clip"}, {"factor": "gram"}, {"factor": "qr"}])
def test_composes_with_transformations(settings):
    matrix = matrix_with_spectrum(SIGMA, 40).astype(np.float32)
    xs = jnp.stack([X * 0.1, X * 0.2])

    def score(x):
        return Exact(**settings)(jacobian(lambda y: matrix @ jnp.tanh(y), x, chunk=5)).log_volume

    jacobians = matrix.astype(np.float64) * (1 - np.tanh(np.asarray(xs, np.float64)) ** 2)[:, None]
    expected = np.log(np.linalg.svd(jacobians, compute_uv=False)).sum(1)
    transformed = (
        jax.vmap(score),
        jax.vmap(jax.jit(score)),
        lambda xs: jax.lax.map(score, xs),
    )
    for found in jax.jit(lambda xs: [f(xs) for f in transformed])(xs):
        np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": "full"}, "`rank` must be one of"),
        ({"factor": "lu"}, "`factor` must be one of"),
        ({"eps": 0.0}, "`eps` must be positive, got 0.0"),
    ],
)
def test_settings_are_checked(annotations_unchecked, settings, message):
    with pytest.raises(ValueError, match=message):
        Exact(**settings)


def test_cost_counts_the_smaller_side():
    assert Exact().cost(384, 150528) == (384, 0)
    assert Exact().cost(384, 10) == (0, 10)
