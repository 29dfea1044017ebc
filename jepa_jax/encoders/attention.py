"""Softmax attention whose derivatives stay cheap for many cotangents of one input.

Written plainly, the pullback of attention under `vmap` over cotangents makes XLA transpose and copy
arrays of (cotangents, heads, tokens, tokens), which costs as much as the products themselves. Here
the derivative is a linear primitive of its own in each mode, with a batching rule that places the
cotangents where every product is a plain matrix product. The weights are computed again rather than
kept: they would be most of what a Jacobian's rows keep of the forward pass. Both modes, `vmap`,
`jit`, and higher derivatives work as for any function.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax.precisions import Precision
from jepa_jax.primitive import linear_pair, waiting
from jepa_jax.products import contract, lower_precision, matmul

# Of the queries, and of the tokens that they look at.
Queries = Float[Array, "h q d"]
Heads = Float[Array, "h t d"]


def attention(q: Queries, k: Heads, v: Heads) -> Queries:
    """softmax(q k^T) v for every head: q (H, Q, D) scaled already, k and v (H, T, D).

    Its products, and those of its derivatives, are at the precision that is set
    (`jepa_jax.products`); the softmax is float32's.
    """
    return _attention(q, k, v, lower_precision())


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _attention(q: Queries, k: Heads, v: Heads, precision: Precision | None) -> Queries:
    return matmul(_weights(q, k, precision), v, precision)


@_attention.defjvp
def _attention_jvp(precision, primals, tangents):
    q, k, v = primals
    # A symbolic zero would need a case of its own in every rule; tangents here are never sparse.
    tangents = (jnp.broadcast_to(t, x.shape) for t, x in zip(tangents, primals, strict=True))
    out = matmul(_weights(q, k, precision), v, precision)
    return out, _along(*tangents, q, k, v, precision=precision)


def _weights(q: Queries, k: Heads, precision: Precision | None) -> Float[Array, "h q t"]:
    return jax.nn.softmax(matmul(q, k.mT, precision), axis=-1)


def _tangent(dq: Array, dk: Array, dv: Array, q, k, v, precision: Precision | None) -> Array:
    """The change of the output with those of q, k and v.

    With W = P (dq k^T + q dk^T) elementwise: W v - rowsum(W) P v + P dv. The row sums go with the
    output P v, so that the transpose needs no reduction over (tokens, tokens).
    """
    weights = _weights(q, k, precision)
    out = matmul(weights, v, precision)
    return _given_weights(dq, dk, dv, q, k, v, weights, out, precision)


def _given_weights(dq: Array, dk: Array, dv: Array, q, k, v, weights, out, precision) -> Array:
    dot = functools.partial(matmul, precision=precision)
    change = weights * (dot(dq, k.mT) + dot(q, dk.mT))
    return dot(change, v) - change.sum(-1, keepdims=True) * out + dot(weights, dv)


def _cotangent(g: Array, q, k, v, precision: Precision | None) -> tuple[Array, Array, Array]:
    """The transpose of `_tangent` in (dq, dk, dv): dS = P (g v^T - rowsum(g P v))."""
    dot = functools.partial(matmul, precision=precision)
    weights = _weights(q, k, precision)
    out = dot(weights, v)
    logits = weights * (dot(g, v.mT) - (g * out).sum(-1, keepdims=True))
    return dot(logits, k), dot(logits.mT, q), dot(weights.mT, g)


def _many_tangents(along: list[Array], q, k, v, precision: Precision | None) -> Array:
    """`_tangent` of C tangents of one input, which share the weights."""
    weights = _weights(waiting(q, along[0]), k, precision)
    out = matmul(weights, v, precision)
    shared = (q, k, v, weights, out, precision)
    return jax.vmap(lambda dq, dk, dv: _given_weights(dq, dk, dv, *shared))(*along)


def _many_cotangents(
    g: Float[Array, "c h q d"], q, k, v, precision: Precision | None
) -> tuple[tuple[Array, ...], int]:
    """`_cotangent` of C cotangents of one input, moved inside of the tokens: (H, Q, C, D).

    There every product is one plain matrix product a head, with nothing of (tokens, tokens) to
    transpose but the weights, once for all cotangents.
    """
    g = jnp.moveaxis(g, 0, 2)
    weights = _weights(waiting(q, g), k, precision)
    out = matmul(weights, v, precision)
    dot = functools.partial(contract, precision=precision)
    pulled = dot("hqcd,hkd->hqck", g, v)
    pulled -= (g * out[:, :, None]).sum(-1, keepdims=True)
    logits = weights[:, :, None] * pulled
    dq = dot("hqck,hkd->hqcd", logits, k)
    dk = dot("hqd,hqck->hdck", q, logits).transpose(0, 3, 2, 1)
    dv = dot("hqk,hqcd->hkcd", weights, g)
    return (dq, dk, dv), 2


_along = linear_pair(
    "attention",
    _tangent,
    _cotangent,
    _many_tangents,
    _many_cotangents,
    directions=3,
    static=("precision",),
)
