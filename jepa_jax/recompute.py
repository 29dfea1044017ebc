"""Functions that keep nothing but their input for their derivatives, for many cotangents at once.

Rows of a Jacobian share one forward pass, and what it keeps of every block stays in memory for all
of them. A function applied by `recomputed` keeps its input alone, and computes the rest again for
each chunk of cotangents, at the cost of a part of one forward pass a chunk. (`jax.checkpoint` is
made for one cotangent: for a loop over chunks XLA moves its recomputation out of the loop, and all
is kept again.)
"""

from collections.abc import Hashable
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jepa_jax.primitive import linear_pair, waiting


@runtime_checkable
class Pure(Hashable, Protocol):
    """A function of x and parameters; equal ones are the same function."""

    def __call__(self, x: Array, *parameters: Array) -> Array: ...


def recomputed(of: Pure, x: Array, *parameters: Array) -> Array:
    """of(x, *parameters), whose derivatives in x keep x alone. Every transformation works on it.

    Where a derivative in a parameter is asked for as well, it is the plain function.
    """

    @jax.custom_jvp
    def applied(x: Array, *parameters: Array) -> Array:
        return of(x, *parameters)

    def jvp(primals, tangents):
        if any(type(t) is not jax.custom_derivatives.SymbolicZero for t in tangents[1:]):
            full = tuple(
                jnp.zeros_like(p) if type(t) is jax.custom_derivatives.SymbolicZero else t
                for p, t in zip(primals, tangents, strict=True)
            )
            return jax.jvp(of, primals, full)
        x, *rest = primals
        dx = tangents[0]
        if type(dx) is jax.custom_derivatives.SymbolicZero:
            dx = jnp.zeros_like(x)
        return of(*primals), _along(dx, x, *rest, of=of)

    applied.defjvp(jvp, symbolic_zeros=True)
    return applied(x, *parameters)


def _tangent(dx: Array, x: Array, *parameters: Array, of: Pure) -> Array:
    return jax.jvp(lambda x: of(x, *parameters), (x,), (dx,))[1]


def _cotangent(g: Array, x: Array, *parameters: Array, of: Pure) -> tuple[Array]:
    return jax.vjp(lambda x: of(x, *parameters), x)[1](g)


def _many_tangents(along: list[Array], x: Array, *parameters: Array, of: Pure) -> Array:
    x = waiting(x, along[0])
    return jax.vmap(jax.linearize(lambda x: of(x, *parameters), x)[1])(along[0])


def _many_cotangents(
    g: Array, x: Array, *parameters: Array, of: Pure
) -> tuple[tuple[Array, ...], int]:
    x = waiting(x, g)
    return jax.vmap(jax.vjp(lambda x: of(x, *parameters), x)[1])(g), 0


_along = linear_pair(
    "recomputed", _tangent, _cotangent, _many_tangents, _many_cotangents, static=("of",)
)
