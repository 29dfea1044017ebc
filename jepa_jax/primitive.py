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

from jepa_jax.xla import jit


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

    # Traced once for its shapes and settings, whatever asks. Inline: programs have its operations,
    # not a call.
    staged = jax.jit(function, static_argnames=static, inline=True)

    def abstract(*avals, **settings):
        shapes = jax.eval_shape(
            lambda *args: staged(*args, **settings),
            *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals),
        )
        return jax.tree.map(lambda s: ShapedArray(s.shape, s.dtype), shapes)

    def jvp(primals, tangents, **settings):
        moving = [i for i, t in enumerate(tangents) if type(t) is not ad.Zero]

        def of_moving(*args):
            every = list(primals)
            for i, x in zip(moving, args, strict=True):
                every[i] = x
            return function(*every, **settings)

        along = tuple(tangents[i] for i in moving)
        return jax.jvp(of_moving, tuple(primals[i] for i in moving), along)

    made = Primitive(name)
    made.multiple_results = multiple_results
    made.def_impl(jit(function, static_argnames=static))
    made.def_abstract_eval(abstract)
    mlir.register_lowering(made, mlir.lower_fun(staged, multiple_results=multiple_results))
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


def with_derivative(
    name: str,
    function: Callable[..., tuple[Array, ...]],
    residuals: Callable[..., tuple[Array, ...]],
    apply: Callable[[tuple[Array, ...], tuple[Array, ...]], Array],
    static: tuple[str, ...] = (),
) -> Callable[..., tuple[Array, ...]]:
    """`function` of arrays, whose first result has the derivative `apply(residuals, tangents)`.

    The other results are constants to derivatives. `apply` is linear in the tangents, of plain
    operations in their own type. `function` and `residuals` are primitives: traced anew, in
    contexts of their own (`jax.enable_x64`), wherever they are lowered, and never differentiated,
    which operations in float64 within a float32 program do not stand. A batch of them is one
    primitive again. `static`: the names of hashable keywords that both take.
    """

    def lifted(f: Callable[..., Any], levels: int) -> Callable[..., Any]:
        for _ in range(levels):
            f = jax.vmap(f)
        return f

    def value(*args, levels, **settings):
        return tuple(lifted(lambda *a: tuple(function(*a, **settings)), levels)(*args))

    def kept(*args, levels, **settings):
        return tuple(lifted(lambda *a: tuple(residuals(*a, **settings)), levels)(*args))

    def batcher(bind):
        def rule(args, dims, *, levels, **settings):
            size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
            moved = [
                jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
                for a, d in zip(args, dims, strict=True)
            ]
            found = bind()(*moved, levels=levels + 1, **settings)
            return found, (0,) * len(found)

        return rule

    names = ("levels", *static)
    value_p = primitive(name, value, batcher(lambda: value_p.bind), True, names)
    kept_p = primitive(f"{name}_residuals", kept, batcher(lambda: kept_p.bind), True, names)

    def jvp(primals, tangents, *, levels, **settings):
        found = value_p.bind(*primals, levels=levels, **settings)
        tangents = tuple(
            jnp.zeros_like(x) if type(t) is ad.Zero else t
            for x, t in zip(primals, tangents, strict=True)
        )
        kept = tuple(kept_p.bind(*primals, levels=levels, **settings))
        change = lifted(apply, levels)(kept, tangents)
        return found, [change, *(jnp.zeros_like(other) for other in found[1:])]

    ad.primitive_jvps[value_p] = jvp
    return lambda *args, **settings: tuple(value_p.bind(*args, levels=0, **settings))
