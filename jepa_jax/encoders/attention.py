"""Softmax attention whose derivatives stay cheap for many cotangents of one input.

Written plainly, the pullback of attention under `vmap` over cotangents makes XLA transpose and copy
arrays of (cotangents, heads, tokens, tokens), which costs as much as the products themselves. Here
the derivative is a linear primitive of its own in each mode, with a batching rule that places the
cotangents where every product is a plain matrix product. The weights are computed again rather than
kept: they would be most of what a Jacobian's rows keep of the forward pass. Both modes, `vmap`,
`jit`, and higher derivatives work as for any function.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax.primitive import linear_pair, waiting

Heads = Float[Array, "h t d"]


@jax.custom_jvp
def attention(q: Heads, k: Heads, v: Heads) -> Heads:
    """softmax(q k^T) v for every head: q (H, Q, D) scaled already, k and v (H, T, D)."""
    return _weights(q, k) @ v


@attention.defjvp
def _attention_jvp(primals, tangents):
    q, k, v = primals
    # A symbolic zero would need a case of its own in every rule; tangents here are never sparse.
    tangents = (jnp.broadcast_to(t, x.shape) for t, x in zip(tangents, primals, strict=True))
    return _weights(q, k) @ v, _along(*tangents, q, k, v)


def _weights(q: Heads, k: Heads) -> Float[Array, "h q k"]:
    return jax.nn.softmax(q @ k.mT, axis=-1)


def _tangent(dq: Array, dk: Array, dv: Array, q, k, v) -> Array:
    """The change of the output with those of q, k and v.

    With W = P (dq k^T + q dk^T) elementwise: W v - rowsum(W) P v + P dv. The row sums go with the
    output P v, so that the transpose needs no reduction over (tokens, tokens).
    """
    weights = _weights(q, k)
    return _given_weights(dq, dk, dv, q, k, v, weights, weights @ v)


def _given_weights(dq: Array, dk: Array, dv: Array, q, k, v, weights, out) -> Array:
    change = weights * (dq @ k.mT + q @ dk.mT)
    return change @ v - change.sum(-1, keepdims=True) * out + weights @ dv


def _cotangent(g: Array, q, k, v) -> tuple[Array, Array, Array]:
    """The transpose of `_tangent` in (dq, dk, dv): dS = P (g v^T - rowsum(g P v))."""
    weights = _weights(q, k)
    logits = weights * (g @ v.mT - (g * (weights @ v)).sum(-1, keepdims=True))
    return logits @ k, logits.mT @ q, weights.mT @ g


def _many_tangents(along: list[Array], q, k, v) -> Array:
    """`_tangent` of C tangents of one input, which share the weights."""
    weights = _weights(waiting(q, along[0]), k)
    shared = (q, k, v, weights, weights @ v)
    return jax.vmap(lambda dq, dk, dv: _given_weights(dq, dk, dv, *shared))(*along)


def _many_cotangents(g: Float[Array, "c h q d"], q, k, v) -> tuple[tuple[Array, ...], int]:
    """`_cotangent` of C cotangents of one input, moved inside of the tokens: (H, Q, C, D).

    There every product is one plain matrix product a head, with nothing of (tokens, tokens) to
    transpose but the weights, once for all cotangents.
    """
    g = jnp.moveaxis(g, 0, 2)
    weights = _weights(waiting(q, g), k)
    pulled = jnp.einsum("hqcd,hkd->hqck", g, v)
    pulled -= (g * (weights @ v)[:, :, None]).sum(-1, keepdims=True)
    logits = weights[:, :, None] * pulled
    dq = jnp.einsum("hqck,hkd->hqcd", logits, k)
    dk = jnp.einsum("hqd,hqck->hdck", q, logits).transpose(0, 3, 2, 1)
    dv = jnp.einsum("hqk,hqcd->hkcd", weights, g)
    return (dq, dk, dv), 2


_along = linear_pair(
    "attention", _tangent, _cotangent, _many_tangents, _many_cotangents, directions=3
)
