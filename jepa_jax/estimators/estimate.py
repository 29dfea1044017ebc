"""What every estimator returns, and the signature that they share."""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jepa_jax.jacobian_operator import Jacobian, Jacobians

Rank = Literal["structural", "clip"]
# A JVP's cost in VJPs, of a vision transformer.
JVP_COST = 1.5


class Estimate(NamedTuple):
    """A log-volume with its errors. All in nats; scalars for one Jacobian, batched under `vmap`.

    `log_volume`: the JEPA-SCORE, sum of log sigma_k. `std_error`: standard deviation of the random
    error, 0 for a deterministic method. `bias_bound`: bound on the systematic error, NaN where the
    method has none. `rank`: the number of singular values in the sum. `singular_values`: those
    values, descending, where the method was asked for them. `flagged`: whether the input is outside
    of what a calibrated method was fitted on, None for the other methods. `shares`: of each of the
    input's D coordinates in the volume, `rank` in all, where the method was asked for them
    (`jepa_jax.estimators.patch_shares`). `products`: VJPs taken, and as many JVPs, where a method
    takes as many as an input needs.

    >>> import jax.numpy as jnp
    >>> from jepa_jax import Exact, jacobian
    >>> estimate = Exact(spectrum=True)(jacobian(lambda x: jnp.array([4.0, 2.0]) * x, jnp.ones(2)))
    >>> estimate.rank.item(), estimate.std_error.item(), estimate.singular_values.round(4).tolist()
    (2, 0.0, [4.0, 2.0])
    >>> round(estimate.log_volume.item(), 4)  # log 4 + log 2
    2.0794
    """

    log_volume: Float[Array, "*b"]
    std_error: Float[Array, "*b"]
    bias_bound: Float[Array, "*b"]
    rank: Int[Array, "*b"]
    singular_values: Float[Array, "*b r"] | None = None
    flagged: Bool[Array, "*b"] | None = None
    shares: Float[Array, "*b d"] | None = None
    products: Int[Array, "*b"] | None = None


@runtime_checkable
class Estimator(Protocol):
    """A log-volume of a Jacobian: a frozen dataclass of static settings, pure when called.

    >>> from jepa_jax import Exact, Lanczos
    >>> from jepa_jax.estimators import Estimator
    >>> isinstance(Exact(), Estimator)
    True
    >>> Exact().cost(k=384, d=37632), Lanczos(steps=20, probes=4).cost(k=384, d=37632)
    ((384.0, 0.0), (80.0, 80.0))
    """

    def __call__(self, jacobian: Jacobian, key: PRNGKeyArray | None = None) -> Estimate:
        """The estimate at the Jacobian's input; `key` seeds the random methods."""
        ...

    def cost(self, k: int, d: int) -> tuple[float, float]:
        """Products with a K x D Jacobian: (VJPs, JVPs)."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """An estimator whose products several Jacobians of one input share."""

    def together(self, jacobians: Jacobians, key: PRNGKeyArray | None = None) -> list[Estimate]:
        """The estimate of each."""
        ...


def estimates(
    estimator: Estimator, jacobians: Jacobians, key: PRNGKeyArray | None = None
) -> list[Estimate]:
    """The estimate of each of several Jacobians of one input, each as it is alone.

    Together where the estimator can (`Projection`); else one after the other, which share the
    forward pass and no more: VJPs of different embeddings have nothing in common.
    """
    if isinstance(estimator, Sharing):
        return estimator.together(jacobians, key)
    return [estimator(one, key) for one in jacobians.each]


def cost_in_vjps(estimator: Estimator, k: int, d: int) -> float:
    """What an estimate of a K x D Jacobian costs in VJPs, a JVP counted as `JVP_COST` of them."""
    vjps, jvps = estimator.cost(k, d)
    return vjps + JVP_COST * jvps
