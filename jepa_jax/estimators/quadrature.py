"""Functions of B^T B for small bidiagonal matrices B, in float64 where the platform has it."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jepa_jax import linalg
from jepa_jax.estimators.factor import underflow

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
    steps: Float[Array, ""] | None = None,
) -> Float[Array, " p"]:
    """The same by the Gauss-Radau rule of m + 1 nodes, one at `floor` times the largest of Gauss.

    `steps`: of the leading so many rows of B alone, `diagonal` being any length beyond.

    For the log it is no larger than the exact value where no singular value lies below that node,
    and Gauss's no smaller: the errors have the signs of an odd and of an even derivative of the
    log (Golub and Meurant, 2010, ch. 6). NaN where a smaller node of Gauss proves the floor wrong.
    """
    index = jnp.arange(diagonal.shape[1], dtype=diagonal.dtype)[None]
    end = diagonal.shape[1] if steps is None else steps
    inside = jnp.where(index < end - 1, above, 0)
    nodes = jax.vmap(linalg.svdvals)(_matrix(diagonal, inside[:, :-1]))
    node = jnp.square(floor * nodes[:, 0])

    # The last diagonal entry that makes `node` an eigenvalue of B^T B, by the stationary quotient-
    # difference recurrence: sums of positive terms, where solving with B^T B - node I cancels.
    def step(last: Array, squares: tuple[Array, Array, Array]) -> tuple[Array, None]:
        alpha, beta, at = squares
        following = jnp.where(alpha > last, node + beta * last / (alpha - last), jnp.nan)
        return jnp.where(at < end, following, last), None

    squares = (jnp.square(diagonal.T), jnp.square(above.T), index[0])
    last, _ = jax.lax.scan(step, node, squares)
    extended = jnp.concatenate([diagonal, diagonal[:, :1]], axis=1)
    index = jnp.arange(extended.shape[1], dtype=diagonal.dtype)[None]
    extended = jnp.where(index == end, jnp.sqrt(last)[:, None], extended)
    return gauss(function, extended, jnp.where(index[:, :-1] < end, above, 0))


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


def gauss_gradient(
    eps: float | None, diagonal: Float[Array, "p m"], above: Float[Array, "p m-1"]
) -> tuple[Float[Array, "p m"], Float[Array, "p m-1"]]:
    """The derivatives of `gauss(log_at_least(eps), diagonal, above)` in both of its arguments.

    With B^T B = V T V^T, c = V^T e_1 and the divided differences F of f(t) = log sqrt t, the change
    is <G, d(B^T B)> for G = V (F * c c^T) V^T (Daleckii and Krein): in B it is 2 B G.
    """

    def one(diagonal: Array, above: Array) -> tuple[Array, Array]:
        b = jnp.diag(diagonal) + jnp.diag(above, 1)
        _, nodes, right = linalg.svd(b)
        first = right[:, 0]
        inner = _without_weight(divided_differences(nodes, eps), first[:, None] * first[None])
        moved = 2 * linalg.dot(b, linalg.dot(right.T, linalg.dot(inner, right)))
        above_it = jnp.eye(len(b), k=1, dtype=b.dtype)
        return _diagonal(moved), (moved * above_it).sum(1)[:-1]

    return jax.vmap(one)(diagonal, above)


def first_column_jacobian(
    eps: float | None, diagonal: Float[Array, "p m"], above: Float[Array, "p m-1"]
) -> tuple[Float[Array, "p m m"], Float[Array, "p m m-1"]]:
    """The derivatives of `first_column`: of entry i in diagonal entry j, (p, i, j), and in above's.

    d y = V (F * V^T d(B^T B) V) V^T e_1, as in `gauss_gradient`.
    """

    def one(diagonal: Array, above: Array) -> tuple[Array, Array]:
        b = jnp.diag(diagonal) + jnp.diag(above, 1)
        _, nodes, right = linalg.svd(b)
        differences, first = divided_differences(nodes, eps), right[:, 0]

        def change(db: Array) -> Array:
            dm = linalg.dot(db.T, b) + linalg.dot(b.T, db)
            inner = differences * linalg.dot(right, linalg.dot(dm, right.T))
            return linalg.dot(right.T, linalg.dot(inner, first[:, None]))[:, 0]

        basis = jnp.eye(len(diagonal), dtype=b.dtype)
        on = jax.vmap(lambda e: change(jnp.diag(e)), out_axes=1)(basis)
        off = jax.vmap(lambda e: change(jnp.diag(e[:-1], 1)), out_axes=1)(basis[:-1])
        return on, off

    return jax.vmap(one)(diagonal, above)


def divided_differences(nodes: Float[Array, " m"], eps: float | None) -> Float[Array, "m m"]:
    """(f_i - f_j) / (t_i - t_j), and f' where they meet, of f(t) = log max(sqrt t, eps)."""
    t = jnp.square(nodes)
    values = log_at_least(eps)(nodes)
    total, difference = t[:, None] + t[None], t[:, None] - t[None]
    near = jnp.abs(difference) <= 1e-6 * total
    slope = 1 / total if eps is None else jnp.where(t[:, None] > eps**2, 1 / total, 0)
    quotient = (values[:, None] - values[None]) / jnp.where(near, 1, difference)
    return jnp.where(near, slope, quotient)


def zeros(
    diagonal: Float[Array, "p m"], above: Float[Array, "p m-1"], width: int
) -> Int[Array, ""]:
    """How many singular values are seen that products with T (width x n) cannot tell from zero.

    As many of T are zero, or more: of equal ones a B shows one alone. They are those below
    2 u |B|_F, u the unit roundoff of T's type: as much as two passes of Gram matrices in it fill a
    zero up with (`jepa_jax.estimators.factor.Factor`). And those below what sums of `width` terms
    may lose as they become zero (`underflow`).
    """
    dtype = diagonal.dtype
    least = underflow(width, dtype) * width

    def count(diagonal: Array, above: Array) -> Array:
        values = jax.vmap(linalg.svdvals)(_matrix(diagonal, above))
        size = jnp.sqrt(jnp.square(values).sum(1, keepdims=True))
        threshold = jnp.maximum(float(jnp.finfo(dtype).eps) * size, least)
        # A number for `widened`, which gives all its results one type.
        return (values <= threshold).sum(1).max().astype(diagonal.dtype)

    return widened(count, *jax.lax.stop_gradient((diagonal, above))).astype(jnp.int32)


def _diagonal(a: Float[Array, "m m"]) -> Float[Array, " m"]:
    return (a * jnp.eye(len(a), dtype=a.dtype)).sum(1)


def _without_weight(values: Array, weights: Array) -> Array:
    """values * weights, zero where the weight is: such a node may be anything."""
    return jnp.where(weights == 0, 0, values * jnp.where(weights == 0, 0, weights))


def _matrix(diagonal: Float[Array, "p m"], above: Float[Array, "p m-1"]) -> Float[Array, "p m m"]:
    return jax.vmap(lambda d, a: jnp.diag(d) + jnp.diag(a, 1))(diagonal, above)
