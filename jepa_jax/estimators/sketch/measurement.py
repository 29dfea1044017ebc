"""What calibration images leave: exact scores, and square roots of J J^T."""

import itertools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax import linalg
from jepa_jax.estimators import factor as factors
from jepa_jax.estimators.estimate import Estimator
from jepa_jax.estimators.sketch.cotangents import choose_cotangents
from jepa_jax.jacobian_operator import Jacobian
from jepa_jax.jacobian_operator import jacobian as jacobian_of_function

# The fewest images that a fit is worth: below, leave-one-out says little of the error.
FEWEST = 16


# Bytes of K x K matrices, of the first images, that are kept to choose cotangents from.
_PILOT_BYTES = 2**29


class Measurement(NamedTuple):
    """What one Jacobian leaves to a calibration.

    `score`: the exact log-volume, nats. `sketch` (P, M): a matrix L with
    L L^T = Omega J J^T Omega^T for P cotangents Omega, lower triangular (P, P) once these are
    chosen; for Omega = I before. `covariates`: the Jacobian's, flattened. `others`: what other
    estimators make of it.
    """

    score: Float[Array | np.ndarray, "*n"]
    sketch: Float[Array | np.ndarray, "*n p m"]
    covariates: Mapping[str, Float[Array | np.ndarray, "*n f"]]
    others: Mapping[str, Float[Array | np.ndarray, "*n"]] | None = None


def measure(
    jacobian: Jacobian,
    others: Mapping[str, Estimator] | None = None,
    key: PRNGKeyArray | None = None,
) -> Measurement:
    """The exact structural-rank score of a Jacobian and a square root of J J^T, from K VJPs.

    `sketch` is (K, live), by the unit cotangents: `restrict` takes it to others. `others` are
    estimators to compare: they run on the square root, with the singular values of J and at next
    to no cost. Raises `ValueError` where D is smaller than the live rows: a sketch has no place
    there.
    """
    if jacobian.shape[1] < jacobian.live:
        raise ValueError(
            f"a sketch needs D of at least {jacobian.live} (the live embedding dimensions), "
            f"got {jacobian.shape[1]}"
        )
    dtype = jacobian.value.dtype
    basis = jacobian.live_basis()
    factor = factors.factorise(jacobian.rows(basis.T))
    score = factors.log_volume(factor).astype(dtype)
    small = factors.root(factor).astype(dtype)
    flat = flat_covariates(jacobian)
    same = jacobian_of_function(lambda x: small @ x, jnp.zeros(small.shape[0], dtype))
    values = {name: e(same, key).log_volume for name, e in (others or {}).items()}
    root = jnp.matmul(basis, small, precision=jax.lax.Precision.HIGHEST)
    return Measurement(score, root, flat, values)


def flat_covariates(jacobian: Jacobian) -> dict[str, Float[Array, " f"]]:
    """`Measurement.covariates` of a Jacobian."""
    return {name: jnp.ravel(value) for name, value in jacobian.covariates.items()}


def restrict(measured: Measurement, cotangents: Float[np.ndarray, "p k"]) -> Measurement:
    """What `measure` found, for these cotangents: on the host, in float64."""
    root = np.asarray(measured.sketch)
    rows = np.asarray(cotangents, np.float64) @ root.astype(np.float64)
    upper = np.asarray(np.linalg.qr(rows.T, mode="r"))
    return measured._replace(sketch=upper.T.astype(root.dtype))


def choose_and_restrict(
    measured: Iterable[Measurement], cotangents: int, seed: int = 0
) -> tuple[Float[np.ndarray, "p k"], list[Measurement]]:
    """So many cotangents chosen from what `measure` found, and that restricted to them.

    They are chosen from all images, or as many of the first as have K x K matrices of half a GiB
    (900 at K = 384, 80 at K = 1280): these are kept until then.
    """
    measured = iter(measured)
    pilot = list(itertools.islice(measured, 1))
    if pilot:
        pilot += itertools.islice(measured, _PILOT_BYTES // np.asarray(pilot[0].sketch).nbytes)
    roots = [np.asarray(one.sketch) for one in pilot if np.isfinite(one.score)]
    if not roots:
        raise ValueError(
            f"a calibration needs at least {FEWEST} images, got 0 that have a finite score"
        )
    omega = choose_cotangents(roots, cotangents, seed)
    return omega, [restrict(one, omega) for one in itertools.chain(pilot, measured)]


def sketch_rows(jacobian: Jacobian, cotangents: Float[Array, "p k"]) -> Float[Array, "p p"]:
    """`Measurement.sketch` from P VJPs alone: in the precision that they are computed in."""
    root = factors.root(factors.factorise(jacobian.rows(cotangents)))
    with jax.enable_x64(root.dtype == jnp.float64):
        return linalg.qr_r(root.T).T.astype(jacobian.value.dtype)
