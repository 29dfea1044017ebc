"""What a sketch's regression sees of a Jacobian."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax.estimators import factor as factors
from jepa_jax.jacobian_operator import Jacobian

# The block of features that comes from the VJPs; the others are covariates by their own names.
SPECTRUM = "spectrum"


def features(
    jacobian: Jacobian, cotangents: Float[Array, "p k"], blocks: tuple[str, ...]
) -> dict[str, Float[Array, " f"]]:
    """The features of `blocks` by name: the sketch's spectrum, and the Jacobian's covariates."""
    found = {}
    missing = [b for b in blocks if b != SPECTRUM and b not in jacobian.covariates]
    if missing:
        raise ValueError(
            f"the calibration uses the covariates {missing}, "
            f"the Jacobian has {sorted(jacobian.covariates)}"
        )
    for name in blocks:
        if name == SPECTRUM:
            factor = factors.factorise(jacobian.rows(cotangents))
            found[name] = spectrum(factors.singular_values(factor)).astype(cotangents.dtype)
        else:
            found[name] = jnp.ravel(jacobian.covariates[name])
    return found


def spectrum(singular_values: Float[Array, " p"]) -> Float[Array, " p+1"]:
    """The logs of the eigenvalues of R R^T, descending, and of its trace."""
    with jax.enable_x64(singular_values.dtype == jnp.float64):
        squares = jnp.square(singular_values)
        return jnp.log(jnp.append(squares, squares.sum()))
