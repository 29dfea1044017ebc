"""Golub-Kahan bidiagonalisation of a Jacobian from many starting vectors at once."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jepa_jax.estimators.narrow import Narrow
from jepa_jax.estimators.probes import norms, power_of_two


class Bidiagonal(NamedTuple):
    """T V = U B for each of P starting vectors, B (m, m) upper bidiagonal.

    `diagonal` and `above` (P, m): B's, `above[:, m - 1]` the length of what is left,
    T^T U = V B^T + above[m - 1] v e_m^T. `basis` (P, m, n): the rows of V^T, the first along the
    starting vector. B^T B is the Lanczos matrix of T^T T, never formed, so that singular values
    survive down to the rounding of the largest and not to the square root of that.

    Where the Krylov space is exhausted after j < m steps, B is its j x j block beside a diagonal
    one with no part in the starting vector (and zeros in the basis).
    """

    diagonal: Float[Array, "p m"]
    above: Float[Array, "p m"]
    basis: Float[Array, "p m n"]


class Growth(NamedTuple):
    """How many steps `bidiagonalise_until` took, and what its last check changed of the value."""

    steps: Int[Array, ""]
    change: Float[Array, ""]


# Not matfree's `bidiag`: it keeps the basis of the side of D as well (P x steps x D numbers, a
# multiple of all else here) and divides 0 by 0 where the Krylov space is exhausted.
def bidiagonalise(operator: Narrow, start: Float[Array, "p n"], steps: int) -> Bidiagonal:
    """`steps` <= n steps of Golub and Kahan (1965) from every row of `start`.

    Only the basis of the side of n is kept and orthogonalised anew (Simon and Zha, SIAM J. Sci.
    Comput. 21, 2000): on real spectra of condition up to 8e6, float32 and 100 steps, the quadrature
    is within .15 nats of that with both, and without either off by up to 300
    (benchmarks/frontier/results/orthogonality.md).

    Cost: one product with T and one with its adjoint a step and starting vector, and 4 steps^2 n
    operations. Memory: P steps n for the basis, and two vectors of the larger side a probe.
    """
    state = jax.lax.fori_loop(0, steps, _step(operator), _begin(operator, start, steps))
    return _finish(state)


def bidiagonalise_until(
    operator: Narrow,
    start: Float[Array, "p n"],
    least: int,
    tolerance: float,
    value: Callable[[Float[Array, "p m"], Float[Array, "p m-1"]], Float[Array, ""]],
) -> tuple[Bidiagonal, Growth]:
    """`bidiagonalise` with `least` steps and half as many more at a time, until that has changed
    `value` of B by no more than `tolerance`, or B is n x n.

    B is returned as (n, n) in any case: its leading steps, beside a diagonal block without a part
    in the starting vector; `above` still has the length of what is left.
    """
    size = operator.size
    least = min(least, size)
    first = min(-(-2 * least // 3), least)  # The first comparison is with a third less.
    step = _step(operator)

    def check(state: tuple[Array, ...], steps: Array) -> Array:
        found = leading(_finish(state), steps)
        return value(found.diagonal, found.above[:, :-1])

    def unsettled(carry: tuple) -> Array:
        steps, _, change, _ = carry
        return (steps < size) & (change > tolerance)  # Not a number is not waited for.

    def grow(carry: tuple) -> tuple:
        steps, before, _, state = carry
        more = jnp.minimum(steps + (steps + 1) // 2, size)
        goal = jnp.where(steps < least, least, more).astype(jnp.int32)
        state = jax.lax.fori_loop(steps, goal, step, state)
        now = check(state, goal)
        return goal, now, jnp.abs(now - before), state

    begun = jnp.int32(first)
    state = jax.lax.fori_loop(jnp.int32(0), begun, step, _begin(operator, start, size))
    carry = (begun, check(state, begun), jnp.full((), jnp.inf, start.dtype), state)
    steps, _, change, state = jax.lax.while_loop(unsettled, grow, carry)
    change = jnp.where(steps < size, change, 0)  # All of the Krylov space is there.
    return _finish(state), Growth(steps, change)


def leading(found: Bidiagonal, steps: Int[Array, ""]) -> Bidiagonal:
    """The first `steps` of B, beside a diagonal block without a part in the starting vector."""
    index = jnp.arange(found.diagonal.shape[1], dtype=jnp.int32)[None]
    diagonal = jnp.where(index < steps, found.diagonal, found.diagonal[:, :1])
    return found._replace(diagonal=diagonal, above=jnp.where(index < steps - 1, found.above, 0))


def _begin(operator: Narrow, start: Float[Array, "p n"], steps: int) -> tuple[Array, ...]:
    count, size = start.shape
    dtype = start.dtype
    v = start / norms(start)
    u = jnp.zeros((count, operator.width), dtype)
    lengths, basis = jnp.zeros((count, steps), dtype), jnp.zeros((count, steps, size), dtype)
    return (v, u, jnp.zeros((count, 1), dtype), lengths, lengths, basis)


def _step(operator: Narrow) -> Callable[[Array, tuple[Array, ...]], tuple[Array, ...]]:
    def step(i: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        v, u, beta, diagonal, above, basis = state
        basis = basis.at[:, i].set(v)
        image = operator.apply(v)
        alpha, u = _normalise(image - beta * u, image)
        image = operator.adjoint(u)
        rest = image - alpha * v
        for _ in range(2):  # Once leaves what cancellation has left of the others.
            rest = rest - _within(basis, rest)
        beta, v = _normalise(rest, image)
        diagonal = diagonal.at[:, i].set(alpha[:, 0])
        above = above.at[:, i].set(beta[:, 0])
        return v, u, beta, diagonal, above, basis

    return step


def _finish(state: tuple[Array, ...]) -> Bidiagonal:
    *_, diagonal, above, basis = state
    # Past the end of a Krylov space everything is zero. A zero on the diagonal would be a singular
    # value of zero that no quadrature weighs; any length will do in its place. Not a number is not
    # an end: it stays, and reaches the score.
    ended = jnp.cumsum(above == 0, axis=1)[:, :-1] > 0
    rest = jnp.where(ended, diagonal[:, :1], diagonal[:, 1:])
    return Bidiagonal(jnp.concatenate([diagonal[:, :1], rest], axis=1), above, basis)


def _normalise(vectors: Array, before: Array) -> tuple[Array, Array]:
    """Lengths and directions; zeros for what is but the rounding of the vectors it is left of."""
    lengths = norms(vectors)
    size = norms(before)
    gone = lengths <= 10 * float(jnp.finfo(vectors.dtype).eps) * size
    # Of what left the type nothing is known: beside an infinite size everything is gone.
    lengths = jnp.where(jnp.isfinite(size), jnp.where(gone, 0, lengths), jnp.nan)
    # Compilers multiply by inverses, and that of the largest numbers is subnormal.
    scale = jax.lax.stop_gradient(power_of_two(lengths))
    directions = vectors / scale / jnp.where(gone, 1, lengths / scale)
    return lengths, jnp.where(gone, 0, directions)


def _within(basis: Float[Array, "p m n"], vectors: Float[Array, "p n"]) -> Float[Array, "p n"]:
    """The part of each vector within its own basis, whose missing rows are zero."""
    highest = jax.lax.Precision.HIGHEST
    parts = jnp.einsum("pmn,pn->pm", basis, vectors, precision=highest)
    return jnp.einsum("pm,pmn->pn", parts, basis, precision=highest)
