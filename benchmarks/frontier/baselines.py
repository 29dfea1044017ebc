"""What others do, on any `Jacobian`: the baselines."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matfree.decomp
import matfree.funm
import matfree.stochtrace
import numpy as np

from jepa_jax import linalg
from jepa_jax.estimators.estimate import JVP_COST
from jepa_jax.jacobian_operator import Jacobian


class Baseline(NamedTuple):
    """A score of a Jacobian, given a key; its cost in VJP units."""

    method: str
    setting: str
    cost: float
    score: Callable[[Jacobian, jax.Array], jax.Array]


def baselines(
    k: int, live: int, counts: Iterable[int], matfree: Iterable[tuple[int, int]]
) -> list[Baseline]:
    """All of them: row sketches by `counts` of rows, matfree by (steps, probes)."""
    found = [Baseline("Listing 1", "clip, float32 SVD", k, lambda j, _: listing1(j))]
    for p in counts:
        omega = random_cotangents(k, p, 0)
        unscaled = lambda j, _, omega=omega: row_log_volume(j, omega)
        scaled = lambda j, _, omega=omega: live / len(omega) * row_log_volume(j, omega)
        found.append(Baseline("row sketch, scaled by K/p", f"p = {p}", p, scaled))
        found.append(Baseline("row sketch, unscaled", f"p = {p}", p, unscaled))
    found.append(
        Baseline("log of the Frobenius norm", "exact norm", live, lambda j, _: log_norm(j))
    )
    for steps, probes in matfree:
        price = steps * probes * (1 + JVP_COST)
        score = lambda j, key, how=(steps, probes): matfree_log_volume(j, key, *how)
        setting = f"{steps} steps, {probes} probes"
        found.append(Baseline("matfree, all K", setting, price, score))
    return found


def listing1(jacobian: Jacobian) -> jax.Array:
    """Listing 1 of arXiv 2510.05949: all K singular values by a float32 SVD, none below 1e-6."""
    rows = jacobian.rows(jnp.eye(jacobian.shape[0], dtype=jnp.float32))
    return jnp.log(jnp.maximum(linalg.svdvals(rows), 1e-6)).sum()


def row_log_volume(jacobian: Jacobian, omega: np.ndarray) -> jax.Array:
    """1/2 logdet(R R^T) of the product R with fixed random rows `omega`."""
    rows = jacobian.rows(jnp.asarray(omega))
    gram = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.log(jnp.diagonal(linalg.cholesky(gram))).sum()


def log_norm(jacobian: Jacobian) -> jax.Array:
    """log ||J||_F."""
    rows = jacobian.rows(jnp.eye(jacobian.shape[0], dtype=jnp.float32))
    return jnp.log(jnp.square(rows).sum()) / 2


def matfree_log_volume(jacobian: Jacobian, key: jax.Array, steps: int, probes: int) -> jax.Array:
    """matfree's stochastic Lanczos quadrature of 1/2 log det(J J^T), as its user composes it: on
    all K directions, the null ones among them."""
    # The tall side: v -> J^T v; the transpose is had by autodiff.
    integrand = matfree.funm.monte_carlo_funm_product_logdet(matfree.decomp.bidiag(steps))
    sampler = matfree.stochtrace.sampler_signs(jnp.zeros(jacobian.shape[0]), num=probes)
    estimate = matfree.stochtrace.estimator_monte_carlo(integrand, sampler)
    return estimate(lambda v: jacobian.rows(v[None])[0], key) / 2


def random_cotangents(k: int, count: int, seed: int) -> np.ndarray:
    """`count` orthonormal rows of K coordinates, uniformly distributed; nested in `count`."""
    gaussian = np.random.default_rng(seed).standard_normal((count, k))
    q, r = np.linalg.qr(gaussian.T)
    return (q * np.sign(np.diagonal(r))).T.astype(np.float32)
