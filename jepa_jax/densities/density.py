"""What a density that is known in closed form has: a shape, samples and a log-density."""

import functools
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float, PRNGKeyArray


@runtime_checkable
class Density(Protocol):
    """A probability density on arrays of one shape.

    >>> from jepa_jax.densities import Density, Spiral
    >>> isinstance(Spiral(), Density)
    True
    """

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


# Makes a dataclass one; `data_fields` names its arrays.
pytree = functools.partial(jax.tree_util.register_dataclass, meta_fields=[])
