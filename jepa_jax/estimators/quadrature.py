"""Functions of B^T B for small bidiagonal matrices B, in float64 where the platform has it."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax import linalg

Result = TypeVar("Result")
Function = Callable[[Array], Array]  # Of singular values.


def widened(function: Callable[..., Result], *arrays: Array) -> Result:
    """`function(*arrays)` computed in float64 where the platform has it, in the arrays' type."""
    dtype = arrays[0].dtype

    def double(*arrays: Array) -> Result:
        with jax.enable_x64(True):
            wide = [a.astype(jnp.float64) for a in arrays]
            return jax.tree.map(lambda a: a.astype(dtype), function(*wide))

    return jax.lax.platform_dependent(
        *arrays, cpu=double, cuda=double, rocm=double, default=function
    )


def log_at_least(eps: float | None) -> Function:
    """log sigma, or log max(sigma, eps)."""
    return jnp.log if eps is None else lambda sigma: jnp.log(jnp.maximum(sigma, eps))


def gauss(
    function: Function, diagonal: Float[Array, "p m"], above: Float[Array, "p m-1"]
) -> Float[Array, " p"]:
    """v^T f(sqrt(T^T T)) v of the unit starting vectors v, by the Gauss rule of m nodes.

    The nodes are B's singular values, their weights the squared first components of its right
    singular vectors. Source: Golub and Meurant, Matrices, Moments and Quadrature, 2010, ch. 6.
    """
    _, nodes, right = jax.vmap(linalg.svd)(_matrix(diagonal, above))
    weights = jnp.square(right[:, :, 0])
    # A node without weight may be anything, and the log of zero is infinite.
    return jnp.where(weights == 0, 0, weights * function(nodes)).sum(1)


def gauss_radau(
    function: Function,
    floor: float,
    diagonal: Float[Array, "p m"],
    above: Float[Array, "p m"],
) -> Float[Array, " p"]:
    """The same by the Gauss-Radau rule of m + 1 nodes, one at `floor` times the largest of Gauss.

    For the log it is no larger than the exact value where no singular value lies below that node,
    and Gauss's no smaller: the errors have the signs of an odd and of an even derivative of the
    log (Golub and Meurant, 2010, ch. 6). NaN where a smaller node of Gauss proves the floor wrong.
    """
    nodes = jax.vmap(linalg.svdvals)(_matrix(diagonal, above[:, :-1]))
    node = jnp.square(floor * nodes[:, 0])

    # The last diagonal entry that makes `node` an eigenvalue of B^T B, by the stationary quotient-
    # difference recurrence: sums of positive terms, where solving with B^T B - node I cancels.
    def step(last: Array, squares: tuple[Array, Array]) -> tuple[Array, None]:
        alpha, beta = squares
        return jnp.where(alpha > last, node + beta * last / (alpha - last), jnp.nan), None

    last, _ = jax.lax.scan(step, node, (jnp.square(diagonal.T), jnp.square(above.T)))
    extended = jnp.concatenate([diagonal, jnp.sqrt(last)[:, None]], axis=1)
    return gauss(function, extended, above)


def first_column(
    function: Function, diagonal: Float[Array, "p m"], above: Float[Array, "p m-1"]
) -> Float[Array, "p m"]:
    """f(sqrt(B^T B)) e_1: V times it is f(sqrt(T^T T)) v for the unit starting vector v."""
    _, nodes, right = jax.vmap(linalg.svd)(_matrix(diagonal, above))
    return jnp.sum(right * (function(nodes) * right[:, :, 0])[:, :, None], axis=1)


def extremes(diagonal: Float[Array, "p m"], above: Float[Array, "p m-1"]) -> Float[Array, " 2"]:
    """The smallest and the largest singular value of all B."""
    nodes = jax.vmap(linalg.svdvals)(_matrix(diagonal, above))
    return jnp.stack([nodes.min(), nodes.max()])


def _matrix(diagonal: Float[Array, "p m"], above: Float[Array, "p m-1"]) -> Float[Array, "p m m"]:
    return jax.vmap(lambda d, a: jnp.diag(d) + jnp.diag(a, 1))(diagonal, above)
