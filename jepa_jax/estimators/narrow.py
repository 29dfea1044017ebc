"""A Jacobian's live part, seen from its smaller side."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax.estimators.estimate import Rank
from jepa_jax.jacobian_operator import Jacobian


class Narrow(NamedTuple):
    """A linear map T from n dimensions to m >= n, with J's n non-zero singular values.

    J without its R null directions is (K - R) x D. T is its transpose where D is at least K - R,
    itself where D is smaller: `size` is n = min(K - R, D), `width` is m, the other of the two.
    `zeros` of J's min(K, D) singular values are known to be zero. `apply` and `adjoint` take and
    return vectors as rows.
    """

    size: int
    width: int
    zeros: int
    apply: Callable[[Float[Array, "p n"]], Float[Array, "p m"]]
    adjoint: Callable[[Float[Array, "p m"]], Float[Array, "p n"]]

    def gram(self, vectors: Float[Array, "p n"]) -> Float[Array, "p n"]:
        """T^T T of every row: one VJP and one JVP a row."""
        return self.adjoint(self.apply(vectors))

    def divided_by(self, scale: Float[Array, ""]) -> "Narrow":
        """T / scale."""
        return self._replace(
            apply=lambda vectors: self.apply(vectors) / scale,
            adjoint=lambda vectors: self.adjoint(vectors) / scale,
        )

    def rank(self, rank: Rank) -> int:
        """The number of singular values in the sum."""
        return self.size + (self.zeros if rank == "clip" else 0)

    def logs_of_zeros(self, rank: Rank, eps: float) -> float:
        """What the known null directions add to the sum: log eps each, in clip mode."""
        return self.zeros * math.log(eps) if rank == "clip" else 0.0


def narrow(jacobian: Jacobian) -> Narrow:
    """The smaller side of a Jacobian's live part."""
    k, d = jacobian.shape
    live = jacobian.live
    basis = jacobian.live_basis() if live < k else None

    def embed(vectors: Array) -> Array:
        return vectors if basis is None else dot(vectors, basis.T)

    def restrict(vectors: Array) -> Array:
        return vectors if basis is None else dot(vectors, basis)

    def rows(vectors: Array) -> Array:
        return jacobian.rows(embed(vectors))

    def columns(vectors: Array) -> Array:
        return restrict(jacobian.columns(vectors))

    zeros = min(k, d) - min(live, d)
    if live <= d:
        return Narrow(live, d, zeros, rows, columns)
    return Narrow(d, live, zeros, columns, rows)


def dot(a: Float[Array, "m k"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """A matrix product that no platform may round its operands for: TF32 would undo a basis."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
