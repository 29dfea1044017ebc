"""Small square factors of a wide matrix: its singular values without its SVD.

For A (m, n) with m <= n, a `Factor` holds two m x m matrices with A A^T = left core left^T,
accurate enough that A's singular values survive: 1/2 logdet(A A^T) is then a sum of logs of
diagonals.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jepa_jax import linalg
from jepa_jax.estimators.probes import power_of_two
from jepa_jax.primitive import primitive

# Columns handled at once by the Gram products: bounds their temporaries to a few m x BLOCK arrays.
BLOCK = 4096


class Factor(NamedTuple):
    """A A^T = left core left^T: `left` triangular, `core` symmetric positive semi-definite.

    `noise`: the factorisation's own rounding. A singular value below it says nothing of A: it is
    c u |A|_F / sqrt(m), u the unit roundoff of A's type. Where A has a direction less than rows,
    rounding fills it up to .4 of these units by Gram matrices in a wider type (c = 4) and to 4 by
    QR (c = 8). By two passes in A's own type it is 2.5 sqrt(m) at worst and seldom over 1.5; but
    the smallest of the live singular values of 1,400 Jacobians of pretrained encoders is 2.1
    sqrt(m), so that c = 2 sqrt(m): a few deficient ones pass for full there. It is never below
    `underflow`, under which entries that become zero would tell.
    """

    left: Float[Array, "m m"]
    core: Float[Array, "m m"]
    noise: Float[Array, ""]


def rounding_noise(
    squares: Float[Array, ""], units: float, m: int, dtype: DTypeLike
) -> Float[Array, ""]:
    """The part of `Factor.noise` that goes with size, of a matrix of this type and m rows whose
    squares sum to `squares`."""
    unit = float(jnp.finfo(dtype).eps) / 2 * units / math.sqrt(m)
    return unit * jnp.sqrt(squares)


def underflow(entries: int, dtype: DTypeLike) -> float:
    """The size below which singular values of a matrix of so many entries cannot be told.

    On most platforms a number below the type's smallest normal one becomes zero: together the
    entries lose no more than sqrt(entries) of these. At 16 times that the log-volume is right
    within .01 nats (tests/estimators/test_rank.py).
    """
    return 16 * float(jnp.finfo(dtype).tiny) * math.sqrt(entries)


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
        m = a.shape[0]
        identity = jnp.eye(m, dtype=jnp.float64)
        if jnp.finfo(products).bits > jnp.finfo(a.dtype).bits:
            first = _blocked_gram(a, None, products, None)
            noise = rounding_noise(jnp.trace(first), 4.0, m, a.dtype)
            return Factor(identity, first, jnp.maximum(noise, underflow(a.size, a.dtype)))
        # Squares of very large or small numbers would leave A's type.
        scale = _power_of_two(a)
        first = _blocked_gram(a, None, products, scale)
        shift = float(jnp.finfo(products).eps) * jnp.trace(first)
        shift = jnp.where(shift == 0, 1, shift)  # Of nothing but zeros.
        left = linalg.cholesky(first + shift * identity)
        inverse = linalg.lower_solve(left, identity)
        core = _blocked_gram(a, inverse.astype(products), products, scale)
        scale = scale.astype(jnp.float64)
        noise = rounding_noise(jnp.trace(first), 2 * math.sqrt(m), m, a.dtype)
        return Factor(scale * left, core, jnp.maximum(scale * noise, underflow(a.size, a.dtype)))


def _power_of_two(a: Array) -> Float[Array, ""]:
    """A power of two of the size of A's largest entry: dividing by it rounds nothing."""
    return power_of_two(jnp.maximum(a.max(), -a.min()))  # Not of |A|: a second copy.


def _blocked_gram(
    a: Float[Array, "m n"],
    left: Float[Array, "m m"] | None,
    products: DTypeLike,
    scale: Float[Array, ""] | None,
) -> Float[Array, "m m"]:
    """(left A / scale)(left A / scale)^T, summed in float64 over blocks of columns.

    There is no second copy of A.
    """
    m, n = a.shape

    def product(block: Array) -> Array:
        y = block.astype(products)
        if scale is not None:
            y = y / scale.astype(products)
        if left is not None:
            y = linalg.dot(left, y)
        return linalg.dot(y, y.T).astype(jnp.float64)

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
    scale = _power_of_two(a)
    left = linalg.qr_r((a / scale).T).T
    noise = rounding_noise(jnp.square(left).sum(), 8.0, a.shape[0], a.dtype)
    noise = jnp.maximum(scale * noise, underflow(a.size, a.dtype))
    return Factor(scale * left, jnp.eye(a.shape[0], dtype=a.dtype), noise)


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


def leverages(factor: Factor, a: Float[Array, "m n"]) -> Float[Array, " n"]:
    """The diagonal of A^T (A A^T)^-1 A: each column's part in A's rows, from 0 to 1, m in all.

    Cost: 2 m^2 n operations in float64 on a CPU, 4 m^2 n in A's type elsewhere. No second copy of
    A. NaN where A has no full row rank.
    """

    def whole(a: Array, left: Array, core: Array) -> Array:
        with jax.enable_x64(True):
            core, left = core.astype(jnp.float64), left.astype(jnp.float64)
            lower = linalg.dot(left, linalg.cholesky(core))
            inverse = linalg.lower_solve(lower, jnp.eye(len(core), dtype=jnp.float64))
            return _columns(lambda block: linalg.dot(inverse, block.astype(jnp.float64)), a)

    # As `gram` has it: what is left of rounding after the first factor is the second's.
    def twice(a: Array, left: Array, core: Array) -> Array:
        scale = _power_of_two(a)
        with jax.enable_x64(core.dtype == jnp.float64):
            identity = jnp.eye(len(core), dtype=core.dtype)
            first = linalg.lower_solve(left / scale.astype(left.dtype), identity).astype(a.dtype)
            second = linalg.lower_solve(linalg.cholesky(core), identity).astype(a.dtype)
        return _columns(lambda block: linalg.dot(second, linalg.dot(first, block / scale)), a)

    return jax.lax.platform_dependent(a, factor.left, factor.core, cpu=whole, default=twice)


def _columns(product: Callable[[Array], Array], a: Float[Array, "m n"]) -> Float[Array, " n"]:
    """The squared length of every column of `product(a)`, a few at once."""
    n = a.shape[1]
    width = min(BLOCK, n)

    def write(i: Array, out: Array) -> Array:
        start = jnp.minimum(i * width, n - width)  # The last block overlaps its neighbour.
        found = product(jax.lax.dynamic_slice_in_dim(a, start, width, 1))
        found = jnp.square(found).sum(0).astype(out.dtype)
        return jax.lax.dynamic_update_slice_in_dim(out, found, start, 0)

    # Counted in int32: `vmap` of a jitted caller checks this outside of `enable_x64`.
    first, blocks = jnp.int32(0), jnp.int32(-(-n // width))
    return jax.lax.fori_loop(first, blocks, write, jnp.zeros(n, a.dtype))


def root(factor: Factor) -> Float[Array, "m m"]:
    """T with T T^T = A A^T."""
    return _by_platform(_root, factor.left, factor.core)


def _root(left: Float[Array, "m m"], core: Float[Array, "m m"]) -> Float[Array, "m m"]:
    eigenvalues, vectors = linalg.eigh(core)
    return linalg.dot(left, vectors * jnp.sqrt(jnp.maximum(eigenvalues, 0))[None])


def _by_platform(function: Callable[..., Array], *arrays: Array) -> Array:
    """`function` in the arrays' own type where eigenvalues in float64 are to be had, else single.

    A TPU has none: there `factorise` has factors of float32 accuracy (`qr`).
    """
    wide = arrays[0].dtype == jnp.float64

    def own(*arrays: Array) -> Array:
        with jax.enable_x64(wide):
            return function(*arrays)

    def single(*arrays: Array) -> Array:
        found = function(*(a.astype(jnp.float32) for a in arrays))
        with jax.enable_x64(wide):
            return found.astype(jnp.float64 if wide else jnp.float32)

    return jax.lax.platform_dependent(*arrays, cpu=own, cuda=own, rocm=own, default=single)


def log_volume(factor: Factor) -> Float[Array, ""]:
    """Sum of the logs of A's singular values; -inf where A has no full row rank."""
    return volume_and_rank(factor)[0]


def volume_and_rank(factor: Factor) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The sum of the logs of A's singular values, and how many are above the `noise`.

    -inf where that is not all of them. Not a number where A has entries that are not finite.

    Cost: a Cholesky factorisation and six triangular solves; where these find A deficient, its
    singular values are computed to be counted.
    """
    m = factor.core.shape[0]
    with jax.enable_x64(factor.core.dtype == jnp.float64):
        lower = linalg.cholesky(factor.core)
        pivots = jnp.square(jnp.diagonal(lower))
        scale = jnp.log(jnp.abs(jnp.diagonal(factor.left))).sum()
        finite = jnp.isfinite(factor.core).all() & jnp.isfinite(factor.left).all()
        # A Cholesky factorisation that broke down (NaN) on finite entries is a zero, too.
        deficient = finite & ~(_smallest(linalg.dot(factor.left, lower)) > factor.noise)
        volume = scale + 0.5 * jnp.log(pivots).sum()
        rank = _count(deficient, factor.left, factor.core, factor.noise)
        # The smallest one was bounded from above; what was counted decides.
        return jnp.where(finite & (rank < m), -jnp.inf, volume), rank


def _smallest(lower: Float[Array, "m m"]) -> Float[Array, ""]:
    """The smallest singular value of a triangular matrix, from above, by inverse iteration."""
    m = lower.shape[0]
    # Signs without a pattern: no part of them is likely to be orthogonal to what is sought.
    v = jnp.where(jnp.sin(jnp.arange(m, dtype=lower.dtype) ** 2) > 0, 1, -1).astype(lower.dtype)
    v = v / math.sqrt(m)
    for _ in range(3):
        v = linalg.lower_solve(lower, v[:, None])
        v = linalg.lower_solve_transposed(lower, v)[:, 0]
        v = v / jnp.sqrt(jnp.square(v).sum())
    return jnp.sqrt(jnp.square(linalg.dot(v[None], lower)).sum())


def _count_if(deficient: Array, left: Array, core: Array, noise: Array) -> Array:
    """How many singular values are above the noise: all, without a look, unless `deficient`."""

    def count(left: Array, core: Array, noise: Array) -> Array:
        values = singular_values(Factor(left, core, noise))
        return (values > noise).sum().astype(jnp.int32)

    def every(left: Array, core: Array, noise: Array) -> Array:
        return jnp.asarray(core.shape[-1], jnp.int32)

    with jax.enable_x64(core.dtype == jnp.float64):
        return jax.lax.cond(deficient, count, every, left, core, noise)


def _count_batched(args, dims):
    """A batch counts where any of it is deficient: `jax.vmap` of a `cond` would always count."""
    axes = tuple(0 if d is not None else None for d in dims)
    moved = [a if d is None else jnp.moveaxis(a, d, 0) for a, d in zip(args, dims, strict=True)]
    size = next(a.shape[0] for a, d in zip(moved, axes, strict=True) if d == 0)
    deficient, *rest = moved

    def counted(*rest: Array) -> Array:
        one = jnp.ones((), bool)
        return jax.vmap(lambda *r: _count_if(one, *r), axes[1:], axis_size=size)(*rest)

    def every(*rest: Array) -> Array:
        return jnp.full(size, rest[1].shape[-1], jnp.int32)

    with jax.enable_x64(rest[1].dtype == jnp.float64):
        return jax.lax.cond(deficient.any(), counted, every, *rest), 0


_count = primitive("count_above_noise", _count_if, _count_batched, False).bind


def singular_values(factor: Factor) -> Float[Array, " m"]:
    """A's singular values, descending; zeros, or less than the `noise`, beyond its rank."""
    return _by_platform(lambda left, core: linalg.svdvals(_root(left, core)), *factor[:2])
