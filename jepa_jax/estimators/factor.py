"""Small square factors of a wide matrix: its singular values without its SVD.

For A (m, n) with m <= n, a `Factor` holds two m x m matrices with A A^T = left core left^T,
accurate enough that A's singular values survive: 1/2 logdet(A A^T) is then a sum of logs of
diagonals.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jepa_jax import linalg

# Columns handled at once by the Gram products: bounds their temporaries to a few m x BLOCK arrays.
BLOCK = 4096


class Factor(NamedTuple):
    """A A^T = left core left^T: `left` triangular, `core` symmetric positive semi-definite."""

    left: Float[Array, "m m"]
    core: Float[Array, "m m"]


def gram(a: Float[Array, "m n"], products: DTypeLike) -> Factor:
    """`Factor` from Gram matrices whose products over n run in the type `products`.

    In a type wider than A's (float64 for float32), one pass is exact to A's own rounding:
    left = I, core = A A^T. In A's own type a single pass loses every singular value below
    sqrt(u) sigma_max (u its unit roundoff), and a second one recovers them:
    left = chol(A A^T + 2 u tr(A A^T) I), Y = left^-1 A, core = Y Y^T. Sums over n and everything
    m x m are float64 in either case.

    Cost: 2 m^2 n operations in float64, or 6 m^2 n in A's type. Source: shifted CholeskyQR
    (Fukaya et al., SIAM J. Sci. Comput. 42, 2020), with the smaller shift that a float64 Cholesky
    factorisation of the m x m matrix allows.
    """
    with jax.enable_x64(True):
        first = _blocked_gram(a, None, products)
        identity = jnp.eye(a.shape[0], dtype=jnp.float64)
        if jnp.finfo(products).bits > jnp.finfo(a.dtype).bits:
            return Factor(identity, first)
        shift = float(jnp.finfo(products).eps) * jnp.trace(first)
        left = linalg.cholesky(first + shift * identity)
        inverse = linalg.lower_solve(left, identity)
        return Factor(left, _blocked_gram(a, inverse.astype(products), products))


def _dot(a: Float[Array, "m k"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """A matrix product in its operands' own type."""
    # Not `jnp.matmul`: it states float64 as its result's type, which `vmap` of a jitted caller
    # checks anew outside of the `enable_x64` that holds here, and turns into float32.
    return jax.lax.dot(a, b, precision=jax.lax.Precision.HIGHEST)


def _blocked_gram(
    a: Float[Array, "m n"], left: Float[Array, "m m"] | None, products: DTypeLike
) -> Float[Array, "m m"]:
    """(left A)(left A)^T, summed in float64 over blocks of columns: no second copy of A."""
    m, n = a.shape

    def product(block: Array) -> Array:
        y = block.astype(products)
        if left is not None:
            y = _dot(left, y)
        return _dot(y, y.T).astype(jnp.float64)

    def add(i: Array, total: Array) -> Array:
        return total + product(jax.lax.dynamic_slice_in_dim(a, i * BLOCK, BLOCK, 1))

    blocks = n // BLOCK
    total = jnp.zeros((m, m), jnp.float64)
    if blocks:
        total = jax.lax.fori_loop(0, blocks, add, total)
    return total + product(a[:, blocks * BLOCK :]) if n % BLOCK else total


def qr(a: Float[Array, "m n"]) -> Factor:
    """`Factor` from the Householder QR of A^T in A's own type: left = R^T, core = I.

    Needs no float64. Cost: 4 m^2 n operations, and a copy of A.
    """
    r = linalg.qr_r(a.T)
    return Factor(r.T, jnp.eye(a.shape[0], dtype=a.dtype))


def factorise(a: Float[Array, "m n"], method: Literal["auto", "gram", "qr"] = "auto") -> Factor:
    """`Factor` by the method that suits the platform the program is built for.

    "gram": float64 products on a CPU, two passes in A's type elsewhere. "auto": "gram" where
    float64 is had at a bearable price (CPU, GPU), "qr" elsewhere.
    """

    def exact(a: Array) -> Factor:
        return gram(a, jnp.float64)

    def mixed(a: Array) -> Factor:
        return gram(a, a.dtype)

    if method == "qr":
        return qr(a)
    if method == "gram":
        return jax.lax.platform_dependent(a, cpu=exact, default=mixed)

    def single(a: Array) -> Factor:
        # Every branch must return one type: the sums are as exact as float32 made them.
        with jax.enable_x64(True):
            return jax.tree.map(lambda m: m.astype(jnp.float64), qr(a))

    return jax.lax.platform_dependent(a, cpu=exact, cuda=mixed, rocm=mixed, default=single)


def root(factor: Factor) -> Float[Array, "m m"]:
    """T with T T^T = A A^T."""
    with jax.enable_x64(factor.core.dtype == jnp.float64):
        eigenvalues, vectors = linalg.eigh(factor.core)
        return _dot(factor.left, vectors * jnp.sqrt(jnp.maximum(eigenvalues, 0)))


def log_volume(factor: Factor) -> Float[Array, ""]:
    """Sum of the logs of A's singular values; -inf where A has no full row rank."""
    with jax.enable_x64(factor.core.dtype == jnp.float64):
        pivots = jnp.square(jnp.diagonal(linalg.cholesky(factor.core)))
        # A pivot within rounding of zero, or a Cholesky factorisation that broke down (NaN) on
        # finite entries, is a zero singular value: its log would otherwise be that of noise.
        floor = float(jnp.finfo(pivots.dtype).eps) * pivots.size * jnp.diagonal(factor.core).max()
        deficient = jnp.isfinite(factor.core).all() & ~(pivots > floor).all()
        scale = jnp.log(jnp.abs(jnp.diagonal(factor.left))).sum()
        return jnp.where(deficient, -jnp.inf, scale + 0.5 * jnp.log(pivots).sum())


def singular_values(factor: Factor) -> Float[Array, " m"]:
    """A's singular values, descending; zeros where A has no full row rank."""
    with jax.enable_x64(factor.core.dtype == jnp.float64):
        return linalg.svdvals(root(factor))
