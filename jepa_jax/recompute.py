"""Functions that keep nothing but their input for their derivatives, for many cotangents at once.

Rows of a Jacobian share one forward pass, and what it keeps of every block stays in memory for all
of them. A function applied by `recomputed` keeps its input alone, and computes the rest again for
each chunk of cotangents, at the cost of a part of one forward pass a chunk. (`jax.checkpoint` is
made for one cotangent: for a loop over chunks XLA moves its recomputation out of the loop, and all
is kept again.)
"""

from collections.abc import Callable, Hashable
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.interpreters import ad
from jaxtyping import Array

from jepa_jax.primitive import primitive


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
        return of(*primals), _tangent_p.bind(dx, x, *rest, of=of)

    applied.defjvp(jvp, symbolic_zeros=True)
    return applied(x, *parameters)


def _tangent(dx: Array, x: Array, *parameters: Array, of: Pure) -> Array:
    return jax.jvp(lambda x: of(x, *parameters), (x,), (dx,))[1]


def _cotangent(g: Array, x: Array, *parameters: Array, of: Pure) -> Array:
    return jax.vjp(lambda x: of(x, *parameters), x)[1](g)[0]


def _linear(x: Array, parameters: tuple[Array, ...], of: Pure) -> Callable[[Array], Array]:
    return jax.linearize(lambda x: of(x, *parameters), x)[1]


def _pullback(x: Array, parameters: tuple[Array, ...], of: Pure) -> Callable[[Array], Array]:
    pull = jax.vjp(lambda x: of(x, *parameters), x)[1]
    return lambda g: pull(g)[0]


def _batched(alone: Callable, shared: Callable) -> Callable:
    """The batching rule of `alone`: by `shared`, made once, where only directions are batched."""

    def rule(args, dims, *, of):
        direction, x, *parameters = args
        if any(d is not None for d in dims[1:]):
            return jax.vmap(lambda *a: alone(*a, of=of), in_axes=tuple(dims))(*args), 0
        along = jnp.moveaxis(direction, dims[0], 0)
        # XLA computes first what does not wait for a direction: all blocks would be in memory at
        # once, and outside of the loop. So it waits.
        x = x + (0 * along.ravel()[0]).astype(x.dtype)
        return jax.vmap(shared(x, tuple(parameters), of))(along), 0

    return rule


def _transposed(g, dx, *residuals, of):
    if type(g) is ad.Zero or not ad.is_undefined_primal(dx):
        return (None,) * (1 + len(residuals))
    return _cotangent_p.bind(g, *residuals, of=of), *[None] * len(residuals)


_tangent_p = primitive("recomputed_tangent", _tangent, _batched(_tangent, _linear), False, ("of",))
_cotangent_p = primitive(
    "recomputed_cotangent", _cotangent, _batched(_cotangent, _pullback), False, ("of",)
)
ad.primitive_transposes[_tangent_p] = _transposed
