"""The methods that frontier.py compares, on functions x -> L x with a given matrix L."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import matfree.decomp
import matfree.funm
import matfree.stochtrace
import numpy as np

from jepa_jax import Hutchinson, Lanczos, Sketch, SketchSamples, XTrace, jacobian
from jepa_jax.estimators import Estimate, SketchFit
from jepa_jax.estimators.calibrate import Measurement, draw_cotangents, measure
from jepa_jax.estimators.sketch import SketchCalibration

CLASSICAL = {
    "Lanczos": [Lanczos(10, 1), Lanczos(20, 1), Lanczos(20, 4), Lanczos(30, 8), Lanczos(50, 16)],
    "Hutchinson": [Hutchinson(30, 2), Hutchinson(50, 4), Hutchinson(100, 8)],
    "XTrace": [XTrace(20, 4), XTrace(30, 12)],
}

MATFREE = ((20, 4), (30, 8))


def settings_of(estimator) -> str:
    """A classical estimator's settings in words."""
    match estimator:
        case Lanczos():
            return f"{estimator.steps} steps, {_probes(estimator.probes)}"
        case Hutchinson():
            return f"degree {estimator.degree}, {_probes(estimator.probes)}"
        case XTrace():
            return f"{estimator.steps} steps, {estimator.products} products"
    return ""


def _probes(count: int) -> str:
    return f"{count} probe" + "s" * (count > 1)


def _operator(matrix, null, covariates=None):
    return jacobian(
        lambda x: matrix @ x,
        jnp.zeros(matrix.shape[1]),
        null_basis=null,
        covariates=None if covariates is None else lambda: covariates,
    )


@functools.partial(jax.jit, static_argnums=0)
def _classical(estimator, matrices, nulls, keys):
    return jax.lax.map(lambda a: estimator(_operator(*a[:2]), a[2]), (matrices, nulls, keys))


@jax.jit
def _sketch(calibration: SketchCalibration, matrices, covariates):
    found = jax.lax.map(
        lambda a: Sketch(calibration)(_operator(a[0], None, a[1])), (matrices, covariates)
    )
    return found


@jax.jit
def _measure(matrices, nulls, cotangents):
    return jax.lax.map(lambda a: measure(_operator(*a), cotangents), (matrices, nulls))


@jax.jit
def _row_logdets(matrices, cotangents):
    def one(matrix):
        rows = cotangents @ matrix
        return jnp.linalg.slogdet(rows @ rows.T)[1] / 2, jnp.log(jnp.square(matrix).sum()) / 2

    with jax.default_matmul_precision("highest"):
        return jax.lax.map(one, matrices)


def _numpy(tree):
    return jax.tree.map(np.asarray, tree)


def classical(estimator, matrices: np.ndarray, nulls: np.ndarray, seed: int) -> Estimate:
    """Estimates for matrices (n, K, D) with null directions (n, K, R), a fresh key each."""
    keys = jax.random.split(jax.random.key(seed), len(matrices))
    return _numpy(_classical(estimator, matrices, nulls, keys))


def listing1(matrices: np.ndarray) -> np.ndarray:
    """Listing 1 of arXiv 2510.05949: all K singular values by a float32 SVD, none below 1e-6."""
    sigma = np.linalg.svd(matrices.astype(np.float32), compute_uv=False)
    return np.log(np.clip(sigma, 1e-6, None).astype(np.float64)).sum(1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _matfree(steps: int, probes: int, matrices, keys):
    integrand = matfree.funm.monte_carlo_funm_product_logdet(matfree.decomp.bidiag(steps))
    sampler = matfree.stochtrace.sampler_signs(jnp.zeros(matrices.shape[1]), num=probes)
    estimate = matfree.stochtrace.estimator_monte_carlo(integrand, sampler)

    def one(a):
        matrix, key = a
        # The tall side: the matrix-vector product of J^T; its transpose is had by autodiff.
        return estimate(lambda v: matrix.T @ v, key) / 2

    return jax.lax.map(one, (matrices, keys))


def matfree_logdet(matrices: np.ndarray, steps: int, probes: int, seed: int) -> np.ndarray:
    """matfree's stochastic Lanczos quadrature of 1/2 log det(J J^T), as its user composes it: on
    all K directions, the null ones among them."""
    keys = jax.random.split(jax.random.key(seed), len(matrices))
    return np.asarray(_matfree(steps, probes, matrices, keys))


def measured(matrices: np.ndarray, nulls: np.ndarray, most: int, seed: int) -> Measurement:
    """Exact scores and sketches by `most` random cotangents, for `fit`."""
    omega = draw_cotangents(matrices.shape[1], most, seed)
    return _numpy(_measure(matrices, nulls, jnp.asarray(omega)))


def fit(
    samples: Measurement,
    covariates: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    cotangents: np.ndarray,
    blocks: tuple[str, ...],
    live: int,
) -> SketchFit:
    """A sketch by `cotangents`, leading ones of those measured, from the `chosen` images."""
    count = len(cotangents)
    part = Measurement(
        samples.score[chosen],
        samples.sketch[chosen, :count, :count],
        {name: block[chosen] for name, block in covariates.items()},
    )
    return SketchSamples(cotangents, part, live).fit(count, blocks)


def sketch(
    calibration: SketchCalibration, matrices: np.ndarray, covariates: Mapping[str, np.ndarray]
) -> Estimate:
    """The fitted sketch's estimates for matrices (n, K, D)."""
    return _numpy(_sketch(calibration, matrices, dict(covariates)))


def row_sketch(
    matrices: np.ndarray, count: int, live: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(live / p) 1/2 logdet(R R^T) with R the product with p fixed random rows; log ||J||_F."""
    omega = draw_cotangents(matrices.shape[1], count, seed)
    logdets, norms = _numpy(_row_logdets(matrices, jnp.asarray(omega)))
    return live / count * logdets, norms
