"""The methods that are compared, on functions x -> L x with a given matrix L."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.frontier.baselines import random_cotangents
from jepa_jax import Hutchinson, Lanczos, Sketch, SketchSamples, XTrace, jacobian
from jepa_jax.estimators import Estimate
from jepa_jax.estimators.sketch.estimator import SketchCalibration
from jepa_jax.estimators.sketch.measurement import (
    Measurement,
    choose_and_restrict,
    measure,
    restrict,
)

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
def _scores(method, matrices, nulls, keys):
    return jax.lax.map(lambda a: method(_operator(*a[:2]), a[2]), (matrices, nulls, keys))


@jax.jit
def _sketch(calibration: SketchCalibration, matrices, covariates):
    found = jax.lax.map(
        lambda a: Sketch(calibration)(_operator(a[0], None, a[1])), (matrices, covariates)
    )
    return found


@jax.jit
def _measure(matrices, nulls):
    return jax.lax.map(lambda a: measure(_operator(*a)), (matrices, nulls))


def _numpy(tree):
    return jax.tree.map(np.asarray, tree)


def scores(method, matrices: np.ndarray, nulls: np.ndarray, seed: int):
    """`method(jacobian, key)` for matrices (n, K, D) with null directions (n, K, R)."""
    keys = jax.random.split(jax.random.key(seed), len(matrices))
    return _numpy(_scores(method, matrices, nulls, keys))


def measured(matrices: np.ndarray, nulls: np.ndarray) -> Measurement:
    """Exact scores and square roots of J J^T, for `sample`."""
    return _numpy(_measure(matrices, nulls))


def sample(
    found: Measurement,
    covariates: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    most: int,
    seed: int,
    live: int,
    random: bool = False,
) -> SketchSamples:
    """The `chosen` images' samples, by `most` cotangents chosen from them alone, or `random`."""
    parts = (
        Measurement(
            found.score[i], found.sketch[i], {name: block[i] for name, block in covariates.items()}
        )
        for i in chosen
    )
    if random:
        omega = random_cotangents(found.sketch.shape[1], most, seed)
        kept = [restrict(one, omega) for one in parts]
    else:
        omega, kept = choose_and_restrict(parts, most, seed)
    return SketchSamples(omega, jax.tree.map(lambda *leaves: np.stack(leaves), *kept), live)


def sketch(
    calibration: SketchCalibration, matrices: np.ndarray, covariates: Mapping[str, np.ndarray]
) -> Estimate:
    """The fitted sketch's estimates for matrices (n, K, D)."""
    return _numpy(_sketch(calibration, matrices, dict(covariates)))
