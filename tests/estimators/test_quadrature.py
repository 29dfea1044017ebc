"""Rules of small bidiagonal matrices, against closed forms and dense matrix functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax.estimators import quadrature

DIAGONAL = np.array([[2.0, 1.5, 0.7], [1.0, 3.0, 0.2]])
ABOVE = np.array([[0.5, 0.9], [0.1, 1.2]])


def dense(diagonal, above, function):
    """f(sqrt(B^T B)) by an eigendecomposition."""
    b = np.diag(diagonal) + np.diag(above, 1)
    values, vectors = np.linalg.eigh(b.T @ b)
    return vectors * function(np.sqrt(values)) @ vectors.T


def widened(function, *arrays):
    arrays = [np.asarray(a, np.float32) for a in arrays]
    return jax.jit(lambda *a: quadrature.widened(function, *a))(*arrays)


def test_gauss_is_the_first_entry_of_the_matrix_function():
    found = widened(lambda d, a: quadrature.gauss(jnp.log, d, a), DIAGONAL, ABOVE)
    expected = [dense(d, a, np.log)[0, 0] for d, a in zip(DIAGONAL, ABOVE, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_first_column_of_the_matrix_function():
    found = widened(lambda d, a: quadrature.first_column(jnp.log, d, a), DIAGONAL, ABOVE)
    expected = [dense(d, a, np.log)[0] for d, a in zip(DIAGONAL, ABOVE, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_extremes_are_those_of_all_matrices():
    found = widened(quadrature.extremes, DIAGONAL, ABOVE)
    values = [
        np.linalg.svd(np.diag(d) + np.diag(a, 1), compute_uv=False)
        for d, a in zip(DIAGONAL, ABOVE, strict=True)
    ]
    np.testing.assert_allclose(found, [np.min(values), np.max(values)], rtol=1e-6)


def test_gauss_radau_of_one_step_in_closed_form():
    alpha, beta, floor = 1.3, 0.8, 0.25
    # Two nodes, one given: mean alpha^2 and variance alpha^2 beta^2 decide the rest.
    node = (floor * alpha) ** 2
    other = alpha**2 + alpha**2 * beta**2 / (alpha**2 - node)
    weight = (alpha**2 - node) / (other - node)
    expected = weight * np.log(other) / 2 + (1 - weight) * np.log(node) / 2
    radau = lambda d, a: quadrature.gauss_radau(jnp.log, floor, d, a)
    found = widened(radau, [[alpha]], [[beta]])
    np.testing.assert_allclose(found, [expected], atol=5e-7)


def test_gauss_radau_refutes_a_floor_above_the_smallest_node():
    above = np.concatenate([ABOVE, np.ones((2, 1))], axis=1)
    smallest, largest = (
        np.linalg.svd(np.diag(DIAGONAL[0]) + np.diag(ABOVE[0], 1), compute_uv=False)[i]
        for i in (-1, 0)
    )
    for factor, refuted in ((0.98, False), (1.02, True)):
        floor = float(factor * smallest / largest)
        radau = lambda d, a, floor=floor: quadrature.gauss_radau(jnp.log, floor, d, a)
        found = widened(radau, DIAGONAL[:1], above[:1])
        assert np.isnan(float(found[0])) == refuted


def test_sums_are_float64_where_the_platform_has_it():
    seen = []

    def record(a):
        seen.append(a.dtype)
        return a

    assert quadrature.widened(record, jnp.ones(2, jnp.float32)).dtype == jnp.float32
    assert jnp.dtype("float64") in seen


@pytest.mark.parametrize("eps", [None, 0.5])
def test_log_at_least(eps):
    found = quadrature.log_at_least(eps)(jnp.asarray([0.25, 2.0], jnp.float32))
    np.testing.assert_allclose(found, np.log([eps or 0.25, 2.0]), rtol=1e-6)
