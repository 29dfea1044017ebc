"""Functions as JAX primitives, for those whose batching needs a rule of its own.

The private parts of JAX that this needs (`Primitive`, interpreters) are in this file alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array


def primitive(
    name: str,
    function: Callable[..., Any],
    batcher: Callable[..., tuple[Any, Any]],
    multiple_results: bool,
    static: tuple[str, ...] = (),
) -> Primitive:
    """A primitive that computes `function` of arrays, and is batched by `batcher`.

    Under `jit` it is the function; its derivatives are those of the function, batched as JAX does.
    `static`: the names of hashable keywords that both take.
    """

    def abstract(*avals, **settings):
        shapes = jax.eval_shape(
            lambda *args: function(*args, **settings),
            *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals),
        )
        return jax.tree.map(lambda s: ShapedArray(s.shape, s.dtype), shapes)

    def jvp(primals, tangents, **settings):
        tangents = tuple(
            jnp.zeros_like(x) if type(t) is ad.Zero else t
            for x, t in zip(primals, tangents, strict=True)
        )
        return jax.jvp(lambda *args: function(*args, **settings), tuple(primals), tangents)

    made = Primitive(name)
    made.multiple_results = multiple_results
    made.def_impl(jax.jit(function, static_argnames=static))
    made.def_abstract_eval(abstract)
    mlir.register_lowering(made, mlir.lower_fun(function, multiple_results=multiple_results))
    ad.primitive_jvps[made] = jvp
    batching.primitive_batchers[made] = batcher
    return made


def linear_pair(
    name: str,
    tangent: Callable[..., Array],
    cotangent: Callable[..., tuple[Array, ...]],
    many_tangents: Callable[..., Array],
    many_cotangents: Callable[..., tuple[tuple[Array, ...], int]],
    directions: int = 1,
    static: tuple[str, ...] = (),
) -> Callable[..., Array]:
    """`tangent`, linear in its first `directions` arguments, as a primitive that knows its
    transpose `cotangent`, itself a primitive. The other arguments are the residuals.

    `cotangent(g, *residuals)` gives a cotangent for each of the directions. Where directions alone
    are batched, as for the rows of one Jacobian, `many_tangents(along, *residuals)` gets them with
    their batch as the first axis and returns the same; `many_cotangents(g, *residuals)` likewise,
    and returns its results with their batch axis. Whatever else is batched is `jax.vmap`'s.
    """

    def batch_tangent(args, dims, **settings):
        if any(d is not None for d in dims[directions:]):
            return jax.vmap(lambda *a: tangent(*a, **settings), in_axes=tuple(dims))(*args), 0
        given = list(zip(args[:directions], dims[:directions], strict=True))
        size = next(t.shape[d] for t, d in given if d is not None)
        along = [
            jnp.broadcast_to(t, (size, *t.shape)) if d is None else jnp.moveaxis(t, d, 0)
            for t, d in given
        ]
        return many_tangents(along, *args[directions:], **settings), 0

    def batch_cotangent(args, dims, **settings):
        if any(d is not None for d in dims[1:]):
            found = jax.vmap(lambda *a: cotangent(*a, **settings), in_axes=tuple(dims))(*args)
            return found, (0,) * directions
        g, *residuals = args
        found, axis = many_cotangents(jnp.moveaxis(g, dims[0], 0), *residuals, **settings)
        return found, (axis,) * directions

    def transpose(g, *args, **settings):
        wanted = [ad.is_undefined_primal(x) for x in args[:directions]]
        if type(g) is ad.Zero or not any(wanted):
            return (None,) * len(args)
        found = cotangent_p.bind(g, *args[directions:], **settings)
        given = [c if w else None for c, w in zip(found, wanted, strict=True)]
        return *given, *[None] * (len(args) - directions)

    tangent_p = primitive(f"{name}_tangent", tangent, batch_tangent, False, static)
    cotangent_p = primitive(f"{name}_cotangent", cotangent, batch_cotangent, True, static)
    ad.primitive_transposes[tangent_p] = transpose
    return tangent_p.bind


def waiting(x: Array, direction: Array) -> Array:
    """`x`, computed only once `direction` is there.

    XLA schedules first what does not wait for a direction: what is computed again of all blocks
    would be in memory at once, and outside of the loop over chunks of directions.
    """
    first = direction.ravel()[0]
    # One number of the direction, without what 0 times it may not be 0 for.
    return x + (0 * jnp.where(jnp.isfinite(first), first, 0)).astype(x.dtype)
