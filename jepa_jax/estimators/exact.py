"""The exact JEPA-SCORE: every singular value of the Jacobian counts."""

import dataclasses
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.estimators import settings
from jepa_jax.estimators import volume as volumes
from jepa_jax.estimators.estimate import Estimate, Rank
from jepa_jax.jacobian_operator import Jacobian

FactorName = Literal["auto", "svd", "gram", "qr"]


@dataclasses.dataclass(frozen=True)
class Exact:
    """The sum of the logs of the singular values of J (K x D), in nats.

    `rank="structural"`: sum_{k <= rank(J)} log sigma_k, the null directions that the Jacobian knows
    projected out, so that rank = min(K - R, D). Eq. 5 of arXiv 2510.05949.
    `rank="clip"`: sum_k log max(sigma_k, eps) over all min(K, D) values, null directions included:
    Listing 1 of the same paper.

    `factor` is how singular values are had: "svd" is the definition, `jax.jacrev` and an SVD of
    the K x D matrix, for comparison. "gram" factors J J^T (float64 products on a CPU; elsewhere
    two passes in J's own type with K x K work in float64). "qr" is a Householder QR of J^T, for
    platforms without float64. "auto" takes "gram" on CPU and GPU, "qr" elsewhere.
    `spectrum=True` returns the singular values too, `shares=True` each input coordinate's share of
    the volume, in structural mode alone (`jepa_jax.estimators.patch_shares`).

    Raises `ValueError` on settings outside these. In structural mode a Jacobian with singular
    values below the rounding of its factorisation (`jepa_jax.estimators.factor.Factor.noise`)
    scores -inf, and `rank` says how many are above: the others' logs would be those of noise.

    The score can be differentiated: `jepa_jax.estimators.volume` has the closed form.

    Cost: K - R VJPs (K in clip mode; D JVPs where D is smaller) and 2 to 6 K^2 D operations.
    Memory: the K x D rows; the factorisation adds less than half of them.

    >>> import jax.numpy as jnp
    >>> from jepa_jax import Exact, jacobian
    >>> J = jacobian(lambda x: x * jnp.array([1.0, 2.0, 4.0]), jnp.ones(3))
    >>> estimate = Exact(spectrum=True)(J)
    >>> round(float(estimate.log_volume), 4), int(estimate.rank)  # log 8
    (2.0794, 3)
    >>> [round(float(s), 3) for s in estimate.singular_values]
    [4.0, 2.0, 1.0]
    """

    rank: Rank = "structural"
    eps: float = 1e-6
    factor: FactorName = "auto"
    spectrum: bool = False
    shares: bool = False

    def __post_init__(self):
        settings.check_choice("rank", self.rank, Rank)
        settings.check_choice("factor", self.factor, FactorName)
        settings.check_positive("eps", self.eps)
        if self.shares and self.rank != "structural":
            raise ValueError(f"`shares` needs `rank` 'structural', got {self.rank!r}")

    def __call__(self, jacobian: Jacobian, key: PRNGKeyArray | None = None) -> Estimate:
        """The score at the Jacobian's input; `key` is not used."""
        clip = self.rank == "clip"
        basis = (
            jnp.eye(jacobian.shape[0], dtype=jacobian.value.dtype)
            if clip
            else jacobian.live_basis()
        )
        a = _wide(jacobian, basis, dense=self.factor == "svd")
        shares = None
        if clip:
            value, sigma = volumes.clipped_volume(a, self.eps, self.factor)
            rank = jnp.full(value.shape, a.shape[0], jnp.int32)
        else:
            tall = jacobian.shape[1] < jacobian.live
            found = volumes.volume(a, self.factor, self.spectrum, self.shares and not tall)
            value, rank, sigma, shares = found
            if tall and self.shares:  # Every coordinate is a direction of its own.
                whole = jnp.where(jnp.isfinite(value), 1, jnp.nan).astype(a.dtype)
                shares = jnp.broadcast_to(whole, jacobian.shape[1:])
        return Estimate(
            log_volume=value,
            std_error=jnp.zeros_like(value),
            bias_bound=jnp.zeros_like(value),
            rank=rank,
            singular_values=sigma if self.spectrum else None,
            shares=shares,
        )

    def cost(self, k: int, d: int) -> tuple[float, float]:
        """(VJPs, JVPs) for K x D: K VJPs, or D JVPs where D is smaller."""
        return (float(k), 0.0) if k <= d else (0.0, float(d))


def _wide(jacobian: Jacobian, basis: Float[Array, "k l"], dense: bool) -> Float[Array, "m n"]:
    """basis^T J, or its transpose where D is the smaller side: no more rows than columns."""
    d = jacobian.shape[1]
    wide = d >= basis.shape[1]
    if dense:
        a = basis.T @ jacobian.dense()
        return a if wide else a.T
    if wide:
        return jacobian.rows(basis.T)
    return jacobian.columns(jnp.eye(d, dtype=basis.dtype)) @ basis
