"""The Jacobian of one function at one input, as a linear operator that is never materialised."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jepa_jax import linalg
from jepa_jax.xla import check_reductions

NullBasis = Float[Array, "k r"] | Callable[[Float[Array, " k"]], Float[Array, "k r"]]
Covariates = Callable[[], Mapping[str, Array]]


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
        check_reductions()
        if chunk is not None and chunk < 1:
            raise ValueError(f"`chunk` must be at least 1, got {chunk}")
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"`x` must be of a floating-point type, got {x.dtype}")

        def flat(flat_x: Float[Array, " d"]) -> Float[Array, " k"]:
            return jnp.ravel(f(flat_x.reshape(x.shape)))

        self.chunk = chunk
        self._flat, self._x = flat, x.ravel()
        self.value, self._tangent_map = jax.linearize(flat, self._x)
        self._cotangent_map = jax.linear_transpose(self._tangent_map, self._x)
        self.shape, self.input_shape = (self.value.size, self._x.size), x.shape
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
        return _map_rows(lambda c: self._cotangent_map(c)[0], cotangents, self.shape[1], self.chunk)

    def columns(self, tangents: Float[Array, "p d"]) -> Float[Array, "p k"]:
        """`tangents @ J.T`, by P JVPs that share one primal pass, `chunk` of them at a time."""
        self._check("tangents", tangents, self.shape[1])
        return _map_rows(self._tangent_map, tangents, self.shape[0], self.chunk)

    def dense(self) -> Float[Array, "k d"]:
        """J itself, by `jax.jacrev`: the definition, for comparison. Cost: K VJPs at once."""
        return jax.jacrev(self._flat)(self._x)

    def _check(self, name: str, vectors: Shaped[Array, "..."], length: int) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != length:
            raise ValueError(f"`{name}` must have shape (P, {length}), got {vectors.shape}")


def _map_rows(
    product: Callable[[Array], Array], vectors: Float[Array, "p n"], width: int, chunk: int | None
) -> Float[Array, "p m"]:
    """`product` of every row of `vectors`, `chunk` rows at a time, written into one buffer."""
    count = vectors.shape[0]
    if chunk is None or chunk >= count:
        return jax.vmap(product)(vectors)
    chunks = -(-count // chunk)
    chunk = -(-count // chunks)  # As even as may be.

    # The last chunk overlaps its neighbour where `chunk` does not divide: a few rows are computed
    # twice, where padding or a remainder would cost a second copy of the whole result.
    def write(i: Array, out: Float[Array, "p m"]) -> Float[Array, "p m"]:
        start = jnp.minimum(i * chunk, count - chunk)
        batch = jax.lax.dynamic_slice_in_dim(vectors, start, chunk)
        return jax.lax.dynamic_update_slice_in_dim(out, jax.vmap(product)(batch), start, 0)

    out = jnp.zeros((count, width), vectors.dtype)
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
