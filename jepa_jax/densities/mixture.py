"""Mixtures of Gaussians."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.densities.density import pytree

_Either = Array | np.ndarray
_LOG_2PI = math.log(2 * math.pi)


@functools.partial(pytree, data_fields=["log_weights", "means", "factors", "whiteners"])
@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """sum_c w_c N(x; mu_c, Sigma_c) on R^D, made by `Mixture.of`.

    `factors`: the Cholesky factors L_c of the covariances; `whiteners`: their inverses.

    >>> import jax, jax.numpy as jnp
    >>> from jepa_jax.densities.mixture import Mixture
    >>> normal = Mixture.of([1.0], [[0.0, 0.0]], [1.0])
    >>> round(float(normal.log_prob(jnp.zeros((1, 2)))[0]), 4)  # -log(2 pi)
    -1.8379
    >>> normal.sample(jax.random.key(0), 3).shape
    (3, 2)
    """

    log_weights: Float[_Either, " c"]
    means: Float[_Either, "c d"]
    factors: Float[_Either, "c d d"]
    whiteners: Float[_Either, "c d d"]

    @classmethod
    def of(cls, weights: Any, means: Any, covariances: Any) -> "Mixture":
        """The mixture of these weights (C,), means (C, D) and covariances, arrays or lists.

        The latter are (C, D, D), or (C,) for multiples of the identity. The weights are divided by
        their sum. Raises `ValueError` on shapes that do not fit, weights that are not positive, and
        covariances that are not positive definite.
        """
        weights, means, covariances = (
            np.asarray(a, np.float64) for a in (weights, means, covariances)
        )
        if means.ndim != 2:
            raise ValueError(f"`means` must have shape (C, D), got {means.shape}")
        c, d = means.shape
        if weights.shape != (c,) or not (weights > 0).all():
            raise ValueError(f"`weights` must be {c} positive numbers, got {weights}")
        if covariances.shape == (c,):
            covariances = covariances[:, None, None] * np.eye(d)
        if covariances.shape != (c, d, d):
            raise ValueError(
                f"`covariances` must have shape ({c}, {d}, {d}) or ({c},), got {covariances.shape}"
            )
        try:
            factors = np.linalg.cholesky(covariances)
        except np.linalg.LinAlgError as error:
            raise ValueError("`covariances` must be positive definite") from error
        return cls(np.log(weights / weights.sum()), means, factors, np.linalg.inv(factors))

    @property
    def shape(self) -> tuple[int, ...]:
        """(D,)."""
        return self.means.shape[1:]

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent points. Cost: C n D^2, every component's map of the same noise."""
        which_key, noise_key = jax.random.split(key)
        log_weights, means, factors = (
            jnp.asarray(a, float) for a in (self.log_weights, self.means, self.factors)
        )
        which = jax.random.categorical(which_key, log_weights, shape=(n,))
        noise = jax.random.normal(noise_key, (n, *self.shape))
        points = means[:, None] + jnp.einsum("nd,ced->cne", noise, factors)
        return points[which, jnp.arange(n)]

    def log_prob(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """log sum_c w_c N(x; mu_c, Sigma_c), nats. Cost: C n D^2."""
        log_weights, means, whiteners = (
            jnp.asarray(a, x.dtype) for a in (self.log_weights, self.means, self.whiteners)
        )
        white = jnp.einsum("cnd,ced->cne", x[None] - means[:, None], whiteners)
        log_det = jnp.log(jnp.diagonal(whiteners, axis1=1, axis2=2)).sum(1)
        constant = log_weights + log_det - 0.5 * _LOG_2PI * x.shape[-1]
        return jax.nn.logsumexp(constant[:, None] - 0.5 * jnp.square(white).sum(-1), axis=0)
