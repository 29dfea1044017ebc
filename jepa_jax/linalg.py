"""Dense factorisations that stay one at a time under `vmap` on a CPU.

jaxlib 0.10 splits a batched LAPACK call over the threads of the pool that it runs in, and waits in
one of them for the others: two such calls at once on a machine of two cores wait for each other for
ever. A call for one matrix waits for nobody. Elsewhere than on a CPU, batches stay batches.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax.primitive import primitive


def _one_at_a_time(name: str, function):
    """`function` of one or more matrices, its results always a tuple, as a primitive."""

    def kept(*arrays: Array) -> tuple[Array, ...]:
        # JAX traces this anew wherever it lowers or batches it: outside of the context that the
        # caller had float64 from. The products of its derivative are of K x K matrices, and never
        # at a lower precision.
        wide = jax.enable_x64(any(a.dtype == jnp.float64 for a in arrays))
        with wide, jax.default_matmul_precision("highest"):
            found = function(*arrays)
            return tuple(found) if isinstance(found, (tuple, list)) else (found,)

    def batcher(arrays, dims):
        axes = tuple(None if d is None else 0 for d in dims)
        moved = [
            a if d is None else jnp.moveaxis(a, d, 0) for a, d in zip(arrays, dims, strict=True)
        ]
        size = next(a.shape[0] for a, d in zip(moved, axes, strict=True) if d == 0)

        def element(arrays, i):
            return [a if d is None else a[i] for a, d in zip(arrays, axes, strict=True)]

        def loop(*arrays: Array) -> tuple[Array, ...]:
            with jax.enable_x64(any(a.dtype == jnp.float64 for a in arrays)):
                shapes = jax.eval_shape(kept, *element(arrays, 0))
                out = tuple(jnp.zeros((size, *s.shape), s.dtype) for s in shapes)

                def step(i: Array, out: tuple[Array, ...]) -> tuple[Array, ...]:
                    found = made.bind(*element(arrays, i))
                    return tuple(o.at[i].set(f) for o, f in zip(out, found, strict=True))

                return jax.lax.fori_loop(0, size, step, out)

        def together(*arrays: Array) -> tuple[Array, ...]:
            with jax.enable_x64(any(a.dtype == jnp.float64 for a in arrays)):
                return jax.vmap(kept, axes)(*arrays)

        found = jax.lax.platform_dependent(*moved, cpu=loop, default=together)
        return found, (0,) * len(found)

    made = primitive(name, kept, batcher, multiple_results=True)
    return lambda *arrays: tuple(made.bind(*arrays))


_cholesky = _one_at_a_time("cholesky_alone", jnp.linalg.cholesky)
_eigh = _one_at_a_time("eigh_alone", jnp.linalg.eigh)
_eigvalsh = _one_at_a_time("eigvalsh_alone", jnp.linalg.eigvalsh)
_svd = _one_at_a_time("svd_alone", jnp.linalg.svd)
_svdvals = _one_at_a_time("svdvals_alone", lambda a: jnp.linalg.svd(a, compute_uv=False))
_qr = _one_at_a_time("qr_alone", jnp.linalg.qr)
_qr_r = _one_at_a_time("qr_r_alone", lambda a: jnp.linalg.qr(a, mode="r"))
_qr_full = _one_at_a_time("qr_full_alone", lambda a: jnp.linalg.qr(a, mode="complete"))
_inv = _one_at_a_time("inv_alone", jnp.linalg.inv)
_lower_solve = _one_at_a_time(
    "lower_solve_alone", lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True)
)
_lower_solve_transposed = _one_at_a_time(
    "lower_solve_transposed_alone",
    lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True, trans="T"),
)


def dot(a: Float[Array, "m k"], b: Float[Array, "k *n"]) -> Float[Array, "m *n"]:
    """a b, of matrices or a matrix and a vector, in its operands' own type, at full precision.

    Not `jnp.matmul`: it states float64 as its result's type, which `vmap` of a jitted caller checks
    anew outside of the `enable_x64` that held, and turns into float32.
    """
    return jax.lax.dot(a, b, precision=jax.lax.Precision.HIGHEST)


def cholesky(a: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """`jax.numpy.linalg.cholesky` of one matrix."""
    return _cholesky(a)[0]


def eigh(a: Float[Array, "n n"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """`jax.numpy.linalg.eigh` of one matrix: eigenvalues, ascending, and eigenvectors."""
    values, vectors = _eigh(a)
    return values, vectors


def eigvalsh(a: Float[Array, "n n"]) -> Float[Array, " n"]:
    """`jax.numpy.linalg.eigvalsh` of one matrix: ascending."""
    return _eigvalsh(a)[0]


def svd(a: Float[Array, "m n"]) -> tuple[Array, Array, Array]:
    """`jax.numpy.linalg.svd` of one matrix, full: U, singular values (descending), V^T."""
    u, values, right = _svd(a)
    return u, values, right


def svdvals(a: Float[Array, "m n"]) -> Float[Array, " k"]:
    """The singular values of one matrix, descending."""
    return _svdvals(a)[0]


def qr(a: Float[Array, "m n"]) -> tuple[Float[Array, "m k"], Float[Array, "k n"]]:
    """`jax.numpy.linalg.qr` of one matrix, reduced."""
    q, r = _qr(a)
    return q, r


def qr_r(a: Float[Array, "m n"]) -> Float[Array, "k n"]:
    """R alone of the reduced QR of one matrix."""
    return _qr_r(a)[0]


def complement(a: Float[Array, "m n"]) -> Float[Array, "m k"]:
    """An orthonormal basis of what is orthogonal to the n columns of `a`: k = m - n."""
    return _qr_full(a)[0][:, a.shape[1] :]


def inv(a: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """`jax.numpy.linalg.inv` of one matrix."""
    return _inv(a)[0]


def lower_solve(a: Float[Array, "n n"], b: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """a^-1 b for one lower triangular matrix."""
    return _lower_solve(a, b)[0]


def lower_solve_transposed(a: Float[Array, "n n"], b: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """a^-T b for one lower triangular matrix a."""
    return _lower_solve_transposed(a, b)[0]
