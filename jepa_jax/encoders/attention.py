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
from jax.interpreters import ad
from jaxtyping import Array, Float

from jepa_jax.primitive import primitive

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
    return _weights(q, k) @ v, _tangent_p.bind(*tangents, q, k, v)


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


def _many_cotangents(g: Array, q, k, v) -> tuple[Array, Array, Array]:
    """`_cotangent` of g (H, Q, C, D): C cotangents of one input, inside the tokens throughout.

    There every product is one plain matrix product a head, with nothing of (tokens, tokens) to
    transpose but the weights, once for all cotangents.
    """
    # XLA schedules what does not wait for a cotangent first: the weights of all blocks would be in
    # memory at once, half of what a Jacobian's rows keep of the forward pass. So they wait.
    weights = _weights(q + 0 * g[:, :, 0], k)
    pulled = jnp.einsum("hqcd,hkd->hqck", g, v)
    pulled -= (g * (weights @ v)[:, :, None]).sum(-1, keepdims=True)
    logits = weights[:, :, None] * pulled
    dq = jnp.einsum("hqck,hkd->hqcd", logits, k)
    dk = jnp.einsum("hqd,hqck->hdck", q, logits).transpose(0, 3, 2, 1)
    dv = jnp.einsum("hqk,hqcd->hkcd", weights, g)
    return dq, dk, dv


def _batched_cotangent(args, dims):
    g, *residuals = args
    if any(d is not None for d in dims[1:]):
        return jax.vmap(_cotangent, in_axes=tuple(dims))(*args), (0, 0, 0)
    return _many_cotangents(jnp.moveaxis(g, dims[0], 2), *residuals), (2, 2, 2)


def _batched_tangent(args, dims):
    *tangents, q, k, v = args
    axes = tuple(dims)
    if any(d is not None for d in axes[3:]):
        return jax.vmap(_tangent, in_axes=axes)(*args), 0
    size = next(t.shape[d] for t, d in zip(tangents, axes[:3], strict=True) if d is not None)
    along = [
        jnp.broadcast_to(t, (size, *t.shape)) if d is None else jnp.moveaxis(t, d, 0)
        for t, d in zip(tangents, axes[:3], strict=True)
    ]
    # They wait for a tangent, as in `_many_cotangents`.
    weights = _weights(q + 0 * along[0][0], k)
    shared = (q, k, v, weights, weights @ v)
    return jax.vmap(lambda dq, dk, dv: _given_weights(dq, dk, dv, *shared))(*along), 0


def _transposed_tangent(g, dq, dk, dv, *residuals):
    if type(g) is ad.Zero:
        return (None,) * (3 + len(residuals))
    cotangents = _cotangent_p.bind(g, *residuals)
    wanted = (ad.is_undefined_primal(x) for x in (dq, dk, dv))
    given = [c if w else None for c, w in zip(cotangents, wanted, strict=True)]
    return *given, *[None] * len(residuals)


_tangent_p = primitive("attention_tangent", _tangent, _batched_tangent, False)
_cotangent_p = primitive("attention_cotangent", _cotangent, _batched_cotangent, True)
ad.primitive_transposes[_tangent_p] = _transposed_tangent
