"""Functions as JAX primitives, for those whose batching needs a rule of its own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


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
