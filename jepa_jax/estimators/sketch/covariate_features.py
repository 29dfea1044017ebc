"""What a sketch's regression sees of a Jacobian."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax.estimators import factor as factors
from jepa_jax.estimators.volume import left_vectors, product
from jepa_jax.jacobian_operator import Jacobian
from jepa_jax.primitive import with_derivative

# The block of features that comes from the VJPs; the others are covariates by their own names.
SPECTRUM = "spectrum"


def features(
    jacobian: Jacobian, rows: Float[Array, "p d"], blocks: tuple[str, ...]
) -> dict[str, Float[Array, " f"]]:
    """The features of `blocks` by name: the spectrum of `rows`, and the Jacobian's covariates."""
    found = {}
    missing = [b for b in blocks if b != SPECTRUM and b not in jacobian.covariates]
    if missing:
        raise ValueError(
            f"the calibration uses the covariates {missing}, "
            f"the Jacobian has {sorted(jacobian.covariates)}"
        )
    for name in blocks:
        if name == SPECTRUM:
            found[name] = spectrum(rows)
        else:
            found[name] = jnp.ravel(jacobian.covariates[name])
    return found


def spectrum(rows: Float[Array, "p n"]) -> Float[Array, " p+1"]:
    """The logs of the eigenvalues of R R^T, descending, and of its trace.

    -inf for an eigenvalue that is but rounding (`jepa_jax.estimators.factor.Factor.noise`).

    Their derivatives are 2 u_k^T dR v_k / sigma_k, which distinct singular values have, and
    2 <R, dR> / |R|_F^2.
    """
    return _spectrum(rows)[0]


def _values(rows: Array) -> tuple[Array]:
    factor = factors.factorise(rows)
    sigma = factors.singular_values(factor)
    with jax.enable_x64(sigma.dtype == jnp.float64):
        squares = jnp.where(sigma <= factor.noise, 0, jnp.square(sigma))
        return (jnp.log(jnp.append(squares, squares.sum())).astype(rows.dtype),)


def _vectors(rows: Array) -> tuple[Array, Array, Array]:
    """2 U / sigma, V^T and 2 R / |R|_F^2."""
    u, sigma = left_vectors(rows, "auto")
    with jax.enable_x64(u.dtype == jnp.float64):
        total = jnp.square(sigma).sum()
        scaled = u / sigma[None]
        right = product(scaled.T, rows)
        kind = rows.dtype
        return (2 * scaled).astype(kind), right.astype(kind), 2 * rows / total.astype(kind)


def _along(kept: tuple[Array, ...], tangents: tuple[Array, ...]) -> Float[Array, " m"]:
    (u, right, mean), (change,) = kept, tangents
    highest = jax.lax.Precision.HIGHEST
    each = (jnp.matmul(u.T, change, precision=highest) * right).sum(1)
    return jnp.append(each, jnp.vdot(mean, change, precision=highest))


_spectrum = with_derivative("sketch_spectrum", _values, _vectors, _along)
