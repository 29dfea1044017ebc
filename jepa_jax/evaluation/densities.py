"""Densities known in closed form: what a trained encoder's score is held against.

Each has `shape`, the shape of one point; `sample(key, n)`; and `log_prob(x)`, normalised, in nats.
All are pytrees of arrays: arguments of a jitted function, not constants of it.
"""

import dataclasses
import functools
import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

_Either = Array | np.ndarray
_LOG_2PI = math.log(2 * math.pi)


@runtime_checkable
class Density(Protocol):
    """A probability density on arrays of one shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point."""
        ...

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        """`n` independent points."""
        ...

    def log_prob(self, x: Float[Array, "n *shape"]) -> Float[Array, " n"]:
        """The log-density of every point, in nats."""
        ...


_pytree = functools.partial(jax.tree_util.register_dataclass, meta_fields=[])


@functools.partial(_pytree, data_fields=["log_weights", "means", "factors", "whiteners"])
@dataclasses.dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_c w_c N(x; mu_c, Sigma_c) on R^D, made by `GaussianMixture.of`.

    `factors`: the Cholesky factors L_c of the covariances; `whiteners`: their inverses.

    >>> import jax, jax.numpy as jnp
    >>> from jepa_jax.evaluation.densities import GaussianMixture
    >>> normal = GaussianMixture.of([1.0], [[0.0, 0.0]], [1.0])
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
    def of(cls, weights: Any, means: Any, covariances: Any) -> "GaussianMixture":
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


@functools.partial(_pytree, data_fields=["start", "pitch", "turn", "spread", "width"])
@dataclasses.dataclass(frozen=True, eq=False)
class Spiral:
    """A noisy Archimedean spiral in the plane.

    x = r (cos t, sin t), the angle t ~ N(turn, spread^2) along the spiral, and the signed radius
    r ~ N(start + pitch t, width^2) across it. The Jacobian of (t, r) -> x has determinant r, and x
    has the preimages (phi + 2 pi m, |x|) and (phi + pi + 2 pi m, -|x|), phi its polar angle, so

        p(x) = 1/|x| sum over preimages of p(t) p(r | t).

    Windings further than 8 `spread` from `turn` are left out: less than 1e-14 of the mass. The
    density has a pole at the origin, of no weight where r = 0 is many `width` away.
    """

    start: float = 0.5
    pitch: float = 0.3
    turn: float = 8.0
    spread: float = 2.0
    width: float = 0.15

    @property
    def shape(self) -> tuple[int, ...]:
        """(2,)."""
        return (2,)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
        """`n` independent points."""
        along, across = jax.random.normal(key, (2, n))
        t = self.turn + self.spread * along
        r = self.start + self.pitch * t + self.width * across
        return jnp.stack([r * jnp.cos(t), r * jnp.sin(t)], -1)

    def log_prob(self, x: Float[Array, "n 2"]) -> Float[Array, " n"]:
        """The log-density, nats: a log-sum over the windings within 8 `spread`."""
        windings = jnp.arange(-_WINDINGS, _WINDINGS + 1, dtype=x.dtype)
        radius = jnp.linalg.norm(x, axis=-1)
        # The angle nearest to `turn`: windings are then counted from there.
        phi = jnp.arctan2(x[:, 1], x[:, 0])
        terms = []
        for sign, shift in ((1.0, 0.0), (-1.0, math.pi)):
            nearest = phi + shift - 2 * math.pi * jnp.round((phi + shift - self.turn) / math.tau)
            t = nearest[:, None] + math.tau * windings[None]
            along = (t - self.turn) / self.spread
            across = (sign * radius[:, None] - self.start - self.pitch * t) / self.width
            terms.append(-0.5 * (jnp.square(along) + jnp.square(across)))
        total = jax.nn.logsumexp(jnp.concatenate(terms, 1), axis=1)
        scale = jnp.log(jnp.asarray(self.spread * self.width, x.dtype))
        return total - _LOG_2PI - scale - jnp.log(radius)


# 8 spreads of up to 4 radians each, in turns.
_WINDINGS = 6


@functools.partial(_pytree, data_fields=["factors"])
@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """prod_i p_i(x_i): independent blocks of coordinates, one density of vectors each.

    >>> import jax.numpy as jnp
    >>> from jepa_jax.evaluation.densities import GaussianMixture, Product
    >>> two_peaks = GaussianMixture.of([1, 1], [[-2.0], [2.0]], [0.25, 0.25])
    >>> Product((two_peaks, two_peaks)).shape
    (2,)
    """

    factors: tuple[Density, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(D,), the sum of the factors' dimensions."""
        return (sum(factor.shape[0] for factor in self.factors),)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent points."""
        keys = jax.random.split(key, len(self.factors))
        return jnp.concatenate(
            [factor.sample(k, n) for factor, k in zip(self.factors, keys, strict=True)], axis=1
        )

    def log_prob(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The sum of the factors' log-densities, nats."""
        ends = np.cumsum([factor.shape[0] for factor in self.factors])[:-1]
        blocks = jnp.split(x, ends, axis=1)
        return sum(
            (f.log_prob(block) for f, block in zip(self.factors, blocks, strict=True)),
            start=jnp.zeros(len(x), x.dtype),
        )


@functools.partial(_pytree, data_fields=["frequencies"])
@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """S x S grey images of values in (0, 1) whose cosine coefficients have a known density.

    x = sigmoid(C^T U C), C the orthonormal DCT-II matrix and U the S x S coefficients, row by row
    a point of `frequencies`, a density on R^(S S). The map is invertible: an orthogonal one, then
    one of every pixel alone, so

        log p(x) = log p_U(C logit(x) C^T) - sum over pixels of log(x (1 - x)).
    """

    frequencies: Density

    @property
    def shape(self) -> tuple[int, ...]:
        """(S, S)."""
        side = math.isqrt(self.frequencies.shape[0])
        return (side, side)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n s s"]:
        """`n` independent images."""
        u = self.frequencies.sample(key, n).reshape(n, *self.shape)
        cosines = jnp.asarray(_dct(self.shape[0]), u.dtype)
        return jax.nn.sigmoid(jnp.einsum("ia,nij,jb->nab", cosines, u, cosines))

    def log_prob(self, x: Float[Array, "n s s"]) -> Float[Array, " n"]:
        """The log-density of the pixels, nats. Values must be inside of (0, 1)."""
        cosines = jnp.asarray(_dct(self.shape[0]), x.dtype)
        logits = jnp.log(x) - jnp.log1p(-x)
        u = jnp.einsum("ia,nab,jb->nij", cosines, logits, cosines)
        slopes = (jnp.log(x) + jnp.log1p(-x)).sum((1, 2))
        return self.frequencies.log_prob(u.reshape(len(x), -1)) - slopes


@functools.lru_cache
def _dct(n: int) -> Float[np.ndarray, "n n"]:
    """The orthonormal DCT-II matrix."""
    k, i = np.arange(n)[:, None], np.arange(n)[None]
    matrix = np.sqrt(2 / n) * np.cos(np.pi * k * (2 * i + 1) / (2 * n))
    matrix[0] /= np.sqrt(2)
    return matrix
