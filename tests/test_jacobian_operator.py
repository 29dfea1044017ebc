"""The Jacobian's products against a prescribed matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import function_with_jacobian

from jepa_jax import jacobian

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 2)).astype(np.float32)
MATRIX = RNG.standard_normal((5, 12)).astype(np.float32)


@pytest.mark.parametrize("chunk", [None, 1, 2, 3, 4, 5, 100])
def test_rows_and_columns_are_products_with_the_matrix(chunk):
    cotangents = RNG.standard_normal((7, 5)).astype(np.float32)
    tangents = RNG.standard_normal((7, 12)).astype(np.float32)

    @jax.jit
    def products(cotangents, tangents):
        operator = jacobian(function_with_jacobian(MATRIX, X), X, chunk=chunk)
        assert operator.shape == (5, 12)
        rows, columns = operator.rows(cotangents), operator.columns(tangents)
        return operator.value, rows, columns, operator.dense()

    value, rows, columns, dense = products(cotangents, tangents)
    np.testing.assert_allclose(value, MATRIX @ X.ravel(), rtol=1e-5)
    np.testing.assert_allclose(rows, cotangents @ MATRIX, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(columns, tangents @ MATRIX.T, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(dense, MATRIX, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: jax.vmap(f),
        lambda f: jax.vmap(jax.jit(f)),
        lambda f: lambda xs: jax.lax.map(f, xs),
    ],
    ids=["vmap", "vmap-jit", "map"],
)
def test_composes_with_transformations(transform):
    xs = jnp.stack([X, 2 * X, 3 * X])

    def rows(x):
        # d/dx of matrix @ tanh(x) = matrix * (1 - tanh(x)^2).
        operator = jacobian(lambda y: jnp.asarray(MATRIX) @ jnp.tanh(y.ravel()), x, chunk=2)
        return operator.rows(jnp.eye(5))

    expected = MATRIX * (1 - np.tanh(np.asarray(xs).reshape(3, 1, 12)) ** 2)
    np.testing.assert_allclose(jax.jit(transform(rows))(xs), expected, rtol=1e-5, atol=1e-6)


def test_rows_share_one_primal_pass():
    # The primal's sine is in the program once, however many chunks pull back through it.
    def rows(x):
        return jacobian(lambda y: MATRIX @ jnp.sin(y), x, chunk=1).rows(jnp.eye(5))

    text = str(jax.make_jaxpr(rows)(jnp.ones(12)))
    assert text.count("= sin ") == 1
    assert text.count("= cos ") == 1


def test_null_basis_leaves_the_complement():
    null = jnp.asarray(np.linalg.qr(RNG.standard_normal((5, 2)))[0], jnp.float32)
    operator = jacobian(function_with_jacobian(MATRIX, X), X, null_basis=lambda z: null)
    live = np.asarray(jax.jit(lambda: operator.live_basis())())
    assert operator.live == 3
    assert live.shape == (5, 3)
    np.testing.assert_allclose(live.T @ live, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(live.T @ null, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jacobian(jnp.sin, jnp.arange(3)), "`x` must be of a floating-point type"),
        (lambda: jacobian(jnp.sin, jnp.ones(3), chunk=0), "`chunk` must be at least 1, got 0"),
        (
            lambda: jacobian(jnp.sin, jnp.ones(3), null_basis=jnp.ones((4, 1))),
            r"`null_basis` must have shape \(3, R\), got \(4, 1\)",
        ),
        (
            lambda: jacobian(jnp.sin, jnp.ones(2), null_basis=jnp.eye(2)),
            "leaves no direction of the 2",
        ),
        (
            lambda: jacobian(jnp.sin, jnp.ones(3)).rows(jnp.ones((2, 4))),
            r"`cotangents` must have shape \(P, 3\), got \(2, 4\)",
        ),
        (
            lambda: jacobian(jnp.sin, jnp.ones(3)).columns(jnp.ones((1, 2))),
            r"`tangents` must have shape \(P, 3\), got \(1, 2\)",
        ),
    ],
)
def test_errors_name_what_arrived(call, message):
    with pytest.raises(ValueError, match=message):
        call()
