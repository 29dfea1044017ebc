"""Factorisations one at a time: the same numbers, batched however, in both types."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax import linalg


def stack(dtype, shape=(5, 6, 6)):
    a = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    return a @ a.swapaxes(-1, -2) + np.eye(shape[-1], dtype=dtype)


CASES = {
    "cholesky": (linalg.cholesky, jnp.linalg.cholesky),
    "eigvalsh": (linalg.eigvalsh, jnp.linalg.eigvalsh),
    "svdvals": (linalg.svdvals, lambda a: jnp.linalg.svd(a, compute_uv=False)),
    "qr": (lambda a: linalg.qr(a)[1], lambda a: jnp.linalg.qr(a)[1]),
    "qr_r": (linalg.qr_r, lambda a: jnp.linalg.qr(a, mode="r")),
    "inv": (linalg.inv, jnp.linalg.inv),
    "lower_solve": (
        lambda a: linalg.lower_solve(a, jnp.ones((6, 2), a.dtype)),
        lambda a: jax.scipy.linalg.solve_triangular(a, jnp.ones((6, 2), a.dtype), lower=True),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_batched_or_not_the_numbers_are_those_of_jax(name):
    ours, theirs = CASES[name]
    a = stack(np.float32)
    expected = jax.jit(lambda a: jnp.stack([theirs(x) for x in a]))(a)
    batched = (
        jax.vmap(ours),
        jax.vmap(jax.jit(ours)),
        lambda a: jax.vmap(jax.vmap(ours))(a[None])[0],
    )
    for found in (jax.vmap(ours)(a), *jax.jit(lambda a: [f(a) for f in batched])(a)):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-5)


def test_float64_from_a_context_of_the_caller():
    def volume(a):
        with jax.enable_x64(True):
            wide = a.astype(jnp.float64)
            values, vectors = linalg.eigh(wide)
            assert values.dtype == jnp.float64
            again = jax.lax.dot(vectors * values[None], vectors.T)
            return (jnp.abs(again - wide).max()).astype(jnp.float32)

    for mapped in (jax.jit(jax.vmap(volume)), jax.vmap(jax.jit(volume))):
        assert float(mapped(jnp.asarray(stack(np.float32))).max()) < 1e-12


def test_derivatives_are_those_of_the_factorisation():
    a = jnp.asarray(stack(np.float32)[0])
    log_volume = lambda a: jnp.log(jnp.diagonal(linalg.cholesky(a))).sum()
    gradient = jax.grad(log_volume)
    for found in jax.jit(lambda a: [gradient(a), jax.vmap(gradient)(a[None])[0]])(a):
        np.testing.assert_allclose(found, 0.5 * np.linalg.inv(a), atol=1e-5)


def test_the_complement_is_orthonormal_and_orthogonal():
    a = jnp.asarray(np.random.default_rng(1).standard_normal((4, 7, 2)), jnp.float32)
    basis = jax.jit(jax.vmap(linalg.complement))(a)
    assert basis.shape == (4, 7, 5)
    np.testing.assert_allclose(basis.mT @ basis, np.broadcast_to(np.eye(5), (4, 5, 5)), atol=1e-6)
    np.testing.assert_allclose(a.mT @ basis, 0, atol=2e-6)


def test_calls_at_once_do_not_wait_for_each_other():
    """Sixteen independent batched factorisations in one program, many times: it comes to an end."""
    program = """
import jax, jax.numpy as jnp
from jepa_jax import linalg
def many(a):
    parts = [f(a + i) for i in range(8) for f in (linalg.eigvalsh, linalg.cholesky)]
    return sum(p.sum() for p in parts)
run = jax.jit(jax.vmap(many))
a = jnp.broadcast_to(jnp.eye(48) * 50, (16, 48, 48))
for _ in range(60):
    run(a).block_until_ready()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
