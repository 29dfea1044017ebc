"""The log-volume of a matrix and its derivative in closed form: no derivative of a factorisation.

With A = U S V^T of full row rank, d log-volume / dA = (A A^T)^-1 A = U S^-1 V^T. For rows of a
Jacobian A = J(x), the gradient in x is then that of <W, J(x)> with W = (A A^T)^-1 A held fixed:
as many products more as there are rows.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jepa_jax import linalg
from jepa_jax.estimators import factor as factors
from jepa_jax.primitive import with_derivative

Method = Literal["auto", "gram", "qr", "svd"]


class Volume(NamedTuple):
    """A log-volume, nats, the number of singular values above rounding, those values, and the
    columns' leverages (`jepa_jax.estimators.factor.leverages`)."""

    value: Float[Array, ""]
    rank: Int[Array, ""]
    singular_values: Float[Array, " m"] | None
    leverages: Float[Array, " n"] | None


def volume(
    a: Float[Array, "m n"],
    method: Method = "auto",
    spectrum: bool = False,
    leverages: bool = False,
) -> Volume:
    """The sum of the logs of A's singular values (m <= n), their number and, if asked for, they,
    and the columns' leverages.

    -inf where some of them are below the rounding (`jepa_jax.estimators.factor.Factor.noise`), and
    leverages of NaN. The value is differentiable in both modes where it is finite; nothing else of
    it is.
    """
    value, rank, sigma, parts = _volume(a, method=method, spectrum=spectrum, leverages=leverages)
    rank = rank.astype(jnp.int32)
    return Volume(value, rank, sigma if spectrum else None, parts if leverages else None)


def _values(
    a: Array, *, method: Method, spectrum: bool, leverages: bool
) -> tuple[Array, Array, Array, Array]:
    factor = _factorise(a, method)
    value, rank = factors.volume_and_rank(factor)
    value = value.astype(a.dtype)
    sigma = parts = jnp.zeros(0, a.dtype)
    if spectrum:
        sigma = factors.singular_values(factor).astype(a.dtype)
    if leverages:
        triangular = _factorise(a, "qr") if method == "svd" else factor
        parts = factors.leverages(triangular, a)
        parts = jnp.where(jnp.isfinite(value), parts, jnp.nan)
    # The rank as a float: derivatives have no place for whole numbers.
    return value, rank.astype(a.dtype), sigma, parts


def _gradient(a: Array, *, method: Method, spectrum: bool, leverages: bool) -> tuple[Array]:
    """(A A^T)^-1 A in A's type."""
    factor = _factorise(a, "qr" if method == "svd" else method)
    with jax.enable_x64(factor.core.dtype == jnp.float64):
        lower = product(factor.left, linalg.cholesky(factor.core))
        inverse = linalg.lower_solve(lower, jnp.eye(a.shape[0], dtype=lower.dtype))
        return (product(inverse.T, product(inverse, a)).astype(a.dtype),)


def clipped_volume(
    a: Float[Array, "m n"], eps: float, method: Method = "auto"
) -> tuple[Float[Array, ""], Float[Array, " m"]]:
    """sum_k log max(sigma_k, eps), nats, and the singular values, descending.

    The derivative is that of the values above eps.
    """
    value, sigma = _clipped(a, eps=eps, method=method)
    return value, sigma


def _clipped_values(a: Array, *, eps: float, method: Method) -> tuple[Array, Array]:
    sigma = factors.singular_values(_factorise(a, method)).astype(a.dtype)
    return jnp.log(jnp.maximum(sigma, eps)).sum(), sigma


def _clipped_gradient(a: Array, *, eps: float, method: Method) -> tuple[Array]:
    """U diag(1 / sigma, 0 below eps) V^T in A's type."""
    u, sigma = left_vectors(a, method)
    with jax.enable_x64(u.dtype == jnp.float64):
        inverse = jnp.where(sigma > eps, 1 / jnp.square(sigma), 0)
        return (product(product(u * inverse[None], u.T), a).astype(a.dtype),)


def _inner(kept: tuple[Array, ...], tangents: tuple[Array, ...]) -> Float[Array, ""]:
    return jnp.vdot(kept[0], tangents[0], precision=jax.lax.Precision.HIGHEST)


def left_vectors(
    a: Float[Array, "m n"], method: Method
) -> tuple[Float[Array, "m m"], Float[Array, " m"]]:
    """U and the singular values of A = U S V^T, in the factorisation's type."""
    factor = _factorise(a, "qr" if method == "svd" else method)
    with jax.enable_x64(factor.core.dtype == jnp.float64):
        u, sigma, _ = linalg.svd(factors.root(factor))
        return u, sigma


def _factorise(a: Array, method: Method) -> factors.Factor:
    """A `Factor` by the method; "svd" is the definition, with the singular values as its left."""
    if method != "svd":
        return factors.factorise(a, method)
    sigma = linalg.svdvals(a)
    largest = sigma[0]
    squares = jnp.square(sigma / jnp.where(largest > 0, largest, 1)).sum()
    noise = largest * factors.rounding_noise(squares, 8.0, a.shape[0], a.dtype)
    noise = jnp.maximum(noise, factors.underflow(a.size, a.dtype))
    return factors.Factor(jnp.diag(sigma), jnp.eye(a.shape[0], dtype=a.dtype), noise)


def product(a: Array, b: Array) -> Array:
    """a b, in the wider type of the two."""
    dtype = a.dtype if jnp.finfo(a.dtype).bits >= jnp.finfo(b.dtype).bits else b.dtype
    return jax.lax.dot(a.astype(dtype), b.astype(dtype), precision=jax.lax.Precision.HIGHEST)


_volume = with_derivative(
    "log_volume", _values, _gradient, _inner, ("method", "spectrum", "leverages")
)
_clipped = with_derivative(
    "clipped_volume", _clipped_values, _clipped_gradient, _inner, ("eps", "method")
)
