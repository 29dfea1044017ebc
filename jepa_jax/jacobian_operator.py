"""The Jacobian of one function at one input, as a linear operator that is never materialised.

And those of several functions of one input, with what they share computed once.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jepa_jax import linalg
from jepa_jax.xla import check_reductions

NullBasis = Float[Array, "k r"] | Callable[[Float[Array, " k"]], Float[Array, "k r"]]
Covariates = Callable[[], Mapping[str, Array]]
Draw = Callable[[Array], Float[Array, " d"]]
"""The tangent of a number."""


class Jacobian:
    """The K x D Jacobian J of `f` at `x`, known through its products.

    Made by `jacobian`. `value` is f(x), flattened to (K,); `shape` is (K, D), `input_shape` x's;
    `null_basis` is a (K, R) matrix of orthonormal left-null directions known in closed form
    (N^T J = 0), R = 0 where none is known. It lives inside one trace: build it in the function
    that you `jit` or `vmap`, and pass results out, not the operator.

    >>> import jax.numpy as jnp
    >>> from jepa_jax import Jacobian
    >>> J = Jacobian(lambda x: jnp.stack([x[0] * x[1], x[1], x[1]]), jnp.array([2.0, 5.0]))
    >>> J.shape, J.value.tolist()
    ((3, 2), [10.0, 5.0, 5.0])
    >>> J.columns(jnp.eye(2)).tolist()  # J's columns, one a row
    [[5.0, 0.0, 0.0], [2.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        f: Callable[[Array], Array],
        x: Array | np.ndarray,
        *,
        chunk: int | None = None,
        null_basis: NullBasis | None = None,
        covariates: Covariates | None = None,
    ):
        linear = _Linear(lambda x: (f(x),), x, chunk)
        self._hold(linear, 0, null_basis, covariates)

    def _hold(
        self,
        linear: "_Linear",
        place: int,
        null_basis: NullBasis | None,
        covariates: Covariates | None = None,
    ) -> None:
        """Becomes the Jacobian of one of several functions of one input."""
        self.chunk = linear.chunk
        self._flat, self._x = lambda x: linear.flat(x)[place], linear.x
        self.value = linear.values[place]
        # What leads to the others alone is no part of either map.
        self._tangent_map = lambda t: linear.tangents(t)[place]
        self._cotangent_map = jax.linear_transpose(self._tangent_map, self._x)
        self.shape, self.input_shape = (self.value.size, self._x.size), linear.shape
        if callable(null_basis):
            null_basis = null_basis(self.value)
        if null_basis is None:
            null_basis = jnp.zeros((self.shape[0], 0), self.value.dtype)
        if null_basis.ndim != 2 or null_basis.shape[0] != self.shape[0]:
            raise ValueError(
                f"`null_basis` must have shape ({self.shape[0]}, R), got {null_basis.shape}"
            )
        if null_basis.shape[1] >= self.shape[0]:
            raise ValueError(
                f"`null_basis` leaves no direction of the {self.shape[0]} to measure: "
                f"got {null_basis.shape[1]}"
            )
        self.null_basis = null_basis
        self._covariates = covariates

    @functools.cached_property
    def covariates(self) -> Mapping[str, Array]:
        """What else is known of the input, by name: features for calibrated estimators."""
        return self._covariates() if self._covariates is not None else {}

    @property
    def live(self) -> int:
        """Number of embedding directions that are not null, K - R."""
        return self.shape[0] - self.null_basis.shape[1]

    def live_basis(self) -> Float[Array, "k l"]:
        """Orthonormal basis (K, K - R) of the complement of the null directions."""
        rank = self.null_basis.shape[1]
        if not rank:
            return jnp.eye(self.shape[0], dtype=self.value.dtype)
        return linalg.complement(self.null_basis)

    def rows(self, cotangents: Float[Array, "p k"]) -> Float[Array, "p d"]:
        """`cotangents @ J`, by P VJPs that share one primal pass, `chunk` of them at a time.

        Memory: the (P, D) result and the intermediate values of `chunk` VJPs.
        """
        self._check("cotangents", cotangents, self.shape[0])
        return _mapped(lambda c: self._cotangent_map(c)[0], cotangents, self.chunk)

    def columns(self, tangents: Float[Array, "p d"]) -> Float[Array, "p k"]:
        """`tangents @ J.T`, by P JVPs that share one primal pass, `chunk` of them at a time."""
        self._check("tangents", tangents, self.shape[1])
        return _mapped(self._tangent_map, tangents, self.chunk)

    def columns_along(self, draw: Draw, count: int) -> Float[Array, "p k"]:
        """`columns` of the tangents draw(0), ..., draw(count - 1), of which no more than `chunk`
        are there at once."""
        return _mapped(lambda i: self._tangent_map(draw(i)), jnp.arange(count), self.chunk)

    def dense(self) -> Float[Array, "k d"]:
        """J itself, by `jax.jacrev`: the definition, for comparison. Cost: K VJPs at once."""
        return jax.jacrev(self._flat)(self._x)

    def _check(self, name: str, vectors: Shaped[Array, "..."], length: int) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != length:
            raise ValueError(f"`{name}` must have shape (P, {length}), got {vectors.shape}")


class _Linear:
    """Several functions of one input, linearised there in one pass."""

    def __init__(
        self,
        f: Callable[[Array], Sequence[Array]],
        x: Array | np.ndarray,
        chunk: int | None,
    ):
        check_reductions()
        if chunk is not None and chunk < 1:
            raise ValueError(f"`chunk` must be at least 1, got {chunk}")
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"`x` must be of a floating-point type, got {x.dtype}")

        def flat(flat_x: Float[Array, " d"]) -> tuple[Float[Array, " k"], ...]:
            return tuple(jnp.ravel(z) for z in f(flat_x.reshape(x.shape)))

        self.chunk, self.flat, self.x, self.shape = chunk, flat, x.ravel(), x.shape
        self.values, self.tangents = jax.linearize(flat, self.x)


class Jacobians:
    """The Jacobians of several functions f_i of one input x: `each`, a `Jacobian` a function.

    `f` returns the f_i(x), one after the other, and computes once what they share: so do the
    products. Made in one trace and used in it, as a `Jacobian`. `null_bases`: of each function, or
    None.

    Cost: one primal pass for all. Rows of one cost what they cost alone: VJPs of different
    functions have nothing in common. Columns of all (`columns_along`) cost one JVP of `f`.

    Raises `ValueError` as `jacobian`, and on another number of `null_bases` than functions.

    >>> import jax.numpy as jnp
    >>> from jepa_jax.jacobian_operator import Jacobians
    >>> def inner_and_outer(x):
    ...     inner = 2 * x
    ...     return inner, 3 * inner[:1]
    >>> both = Jacobians(inner_and_outer, jnp.ones(2))
    >>> [J.rows(jnp.eye(J.shape[0])).tolist() for J in both.each]
    [[[2.0, 0.0], [0.0, 2.0]], [[6.0, 0.0]]]
    >>> [columns.tolist() for columns in both.columns_along(lambda i: jnp.eye(2)[i], 2)]
    [[[2.0, 0.0], [0.0, 2.0]], [[6.0], [0.0]]]
    """

    def __init__(
        self,
        f: Callable[[Array], Sequence[Array]],
        x: Array | np.ndarray,
        *,
        chunk: int | None = None,
        null_bases: Sequence[NullBasis | None] | None = None,
    ):
        self._linear = _Linear(f, x, chunk)
        count = len(self._linear.values)
        bases = [None] * count if null_bases is None else list(null_bases)
        if len(bases) != count:
            raise ValueError(f"`null_bases` must be of {count} functions, got {len(bases)}")
        self.each = tuple(Jacobian.__new__(Jacobian) for _ in bases)
        for i, (one, basis) in enumerate(zip(self.each, bases, strict=True)):
            one._hold(self._linear, i, basis)

    def columns_along(self, draw: Draw, count: int) -> tuple[Float[Array, "p _"], ...]:
        """Of each function `Jacobian.columns_along` the same tangents, by `count` JVPs for all."""
        along = lambda i: self._linear.tangents(draw(i))
        return _mapped(along, jnp.arange(count), self._linear.chunk)


def _mapped(product: Callable[[Array], Any], given: Shaped[Array, "p ..."], chunk: int | None):
    """`product` of everything along the first axis of `given`, `chunk` at a time, written into one
    buffer for each array of the result."""
    count = given.shape[0]
    if chunk is None or chunk >= count:
        return jax.vmap(product)(given)
    chunks = -(-count // chunk)
    chunk = -(-count // chunks)  # As even as may be.

    # The last chunk overlaps its neighbour where `chunk` does not divide: a few rows are computed
    # twice, where padding or a remainder would cost a second copy of the whole result.
    def write(i: Array, out: Any) -> Any:
        start = jnp.minimum(i * chunk, count - chunk)
        found = jax.vmap(product)(jax.lax.dynamic_slice_in_dim(given, start, chunk))
        put = lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, start, 0)
        return jax.tree.map(put, out, found)

    shapes = jax.eval_shape(product, jax.ShapeDtypeStruct(given.shape[1:], given.dtype))
    out = jax.tree.map(lambda s: jnp.zeros((count, *s.shape), s.dtype), shapes)
    return jax.lax.fori_loop(0, chunks, write, out)


def jacobian(
    f: Callable[[Array], Array],
    x: Array | np.ndarray,
    *,
    chunk: int | None = None,
    null_basis: NullBasis | None = None,
    covariates: Covariates | None = None,
) -> Jacobian:
    """The Jacobian of `f` at `x` as a linear operator with batched VJPs and JVPs.

    `f` maps one array of D elements to one of K, of any shapes; both are flattened. `null_basis`
    is a (K, R) array of orthonormal left-null directions, or a function of f(x) that gives it.
    `chunk` bounds how many products run at once (default: all). `covariates` gives named arrays of
    what else is known of the input, called only by the estimators that use them.

    Raises `ValueError` on an integer `x`, a `chunk` below 1, or a `null_basis` that does not fit.

    Cost: one primal pass; one VJP a row, one JVP a column.

    >>> import jax.numpy as jnp
    >>> from jepa_jax import Exact, jacobian
    >>> J = jacobian(lambda x: jnp.array([[2.0, 0.0], [0.0, 3.0]]) @ jnp.sin(x), jnp.zeros(2))
    >>> J.rows(jnp.eye(2)).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    >>> round(float(Exact()(J).log_volume), 4)  # log 2 + log 3
    1.7918
    """
    return Jacobian(f, x, chunk=chunk, null_basis=null_basis, covariates=covariates)
