"""Golub-Kahan bidiagonalisation: its invariants, its breakdowns, and matfree's."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matfree.decomp
import matfree.funm
import numpy as np
import pytest
from known import matrix_with_spectrum

from jepa_jax import jacobian
from jepa_jax.estimators import quadrature
from jepa_jax.estimators.bidiagonal import bidiagonalise
from jepa_jax.estimators.narrow import narrow

SPECTRA = np.load(Path(__file__).parent.parent / "fixtures" / "spectra.npz")


def decompose(matrix, start, steps, jit=jax.jit):
    """B, V (float64) of every starting vector for the function x -> matrix x."""

    def program(matrix, start):
        operator = narrow(jacobian(lambda x: matrix @ x, jnp.ones(matrix.shape[1], jnp.float32)))
        return bidiagonalise(operator, start, steps)

    found = jit(program)(*(np.asarray(a, np.float32) for a in (matrix, start)))
    diagonal, above, basis = (np.asarray(a, np.float64) for a in found)
    b = [np.diag(d) + np.diag(a[:-1], 1) for d, a in zip(diagonal, above, strict=True)]
    return np.stack(b), above[:, -1], basis


def start_of(count, size, seed=0):
    return np.random.default_rng(seed).standard_normal((count, size))


def test_bidiagonal_relations_and_orthonormality():
    matrix = matrix_with_spectrum(np.geomspace(3, 0.1, 20), 50)
    start = start_of(3, 20)
    for b, left_over, basis, w in zip(*decompose(matrix, start, 8), start, strict=True):
        np.testing.assert_allclose(basis @ basis.T, np.eye(8), atol=1e-6)
        np.testing.assert_allclose(basis[0], w / np.linalg.norm(w), atol=1e-6)
        # T V = U B with T = matrix^T, so U = T V B^-1 must have orthonormal columns ...
        u = matrix.T @ basis.T @ np.linalg.inv(b)
        np.testing.assert_allclose(u.T @ u, np.eye(8), atol=2e-5)
        # ... and T^T U = V B^T, up to the rest, which leaves the last column only.
        rest = matrix @ u - basis.T @ b.T
        np.testing.assert_allclose(rest[:, :-1], 0, atol=2e-5)
        np.testing.assert_allclose(np.linalg.norm(rest[:, -1]), left_over, rtol=1e-4)


def test_all_steps_give_all_singular_values():
    sigma = SPECTRA["vits14"][1, :-2].astype(np.float64)[::8]
    (b,), left_over, (basis,) = decompose(
        matrix_with_spectrum(sigma, 64), start_of(1, len(sigma)), len(sigma)
    )
    assert left_over.item() == 0
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(sigma)), atol=1e-6)
    # float32 rows move a singular value by a few units of rounding of the largest.
    np.testing.assert_allclose(
        np.linalg.svd(b, compute_uv=False), sigma, rtol=1e-6, atol=3e-7 * sigma[0]
    )


def test_rounding_at_the_worst_real_condition_matches_matfree_in_float64():
    sigma = SPECTRA["vitl14"][1, :-2].astype(np.float64)  # Condition 8e6.
    matrix = matrix_with_spectrum(sigma, len(sigma)).astype(np.float32)
    start, steps = start_of(2, len(sigma)), 30
    found, _, _ = decompose(matrix, start, steps, jax.jit)  # As users' programs round.
    gauss = lambda d, a: quadrature.gauss(jnp.log, d, a)
    ours = jax.jit(lambda *parts: quadrature.widened(gauss, *parts))(
        np.diagonal(found, 0, 1, 2).astype(np.float32),
        np.diagonal(found, 1, 1, 2).astype(np.float32),
    )
    with jax.enable_x64(True):
        form = matfree.funm.monte_carlo_funm_product_logdet(matfree.decomp.bidiag(steps))
        run = jax.jit(lambda tall, w: form(lambda x: tall @ x, w))
        theirs = [float(run(matrix.T.astype(np.float64), w)) / 2 / (w @ w) for w in start]
    # Times n = 1022 this is .5 nats, without orthogonalising again 300. Float32 rounds otherwise on
    # other instruction sets: .05 nats with AVX-512, .2 without.
    np.testing.assert_allclose(ours, theirs, atol=5e-4)


@pytest.mark.parametrize("distinct", [1, 2, 3])
def test_an_exhausted_krylov_space_decouples_and_is_exact(distinct):
    sigma = np.repeat([1.0, 2.0, 5.0][:distinct], 4)
    matrix = matrix_with_spectrum(sigma, 30)
    start = start_of(2, len(sigma))
    b, _, _ = decompose(matrix, start, len(sigma))
    assert np.isfinite(b).all()
    values, vectors = np.linalg.eigh(matrix @ matrix.T)
    for found, w in zip(b, start, strict=True):
        _, nodes, right = np.linalg.svd(found)
        parts = np.square(vectors.T @ w) / (w @ w)
        expected = (parts * np.log(values)).sum() / 2
        np.testing.assert_allclose((right[:, 0] ** 2 * np.log(nodes)).sum(), expected, atol=2e-6)


def test_a_known_zero_of_the_jacobian_ends_the_space_with_a_zero():
    matrix = np.diag([1.0] * 5 + [0.0] * 2)
    (b,), _, _ = decompose(matrix, start_of(1, 7), 7)
    assert np.linalg.svd(b, compute_uv=False).min() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_stays_one(bad):
    matrix = matrix_with_spectrum([4.0, 2.0, 1.0], 8)
    matrix[1, 3] = bad
    b, _, _ = decompose(matrix, start_of(2, 3), 3)
    assert np.isnan(b).any(axis=(1, 2)).all()


def test_memory_holds_no_basis_of_the_input_side():
    probes, steps, k, d = 4, 16, 32, 2**17

    def program(x, start):
        operator = narrow(jacobian(lambda y: jnp.sin(y).reshape(k, -1).sum(1), x))
        return bidiagonalise(operator, start, steps)

    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((d,), (probes, k))]
    memory = jax.jit(program).lower(*shapes).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 0.5 * probes * steps * d * 4
