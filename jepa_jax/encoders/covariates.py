"""What an encoder tells of an image at next to no cost: features for calibrated estimators."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax import linalg
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.vit import Block, LayerNorm, ViT, standardize_with_scale

# The levels at which a spectrum is described: tails, quartiles, median.
LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def covariates(vit: ViT, rule: EmbeddingRule, tokens: Float[Array, "t d"]) -> dict[str, Array]:
    """Named features of the image whose tokens enter the first block.

    "tokens": the CLS token and the mean patch token after every block, one after the other.
    "norms": the logs of their lengths. "embedding": the embedding (K,). "depth": log-volume and
    quantiles of the log-eigenvalues of J J^T for the Jacobians of the embedding with respect to the
    tokens entering the final norm and, for a CLS embedding, the last block: both in closed form.

    Cost: one forward pass, most of which a Jacobian shares; a few K^3 operations.
    """
    depth = rule.layer or vit.config.depth
    blocks = list(vit.blocks)[:depth]
    states = [tokens]
    for block in blocks[:-1]:
        states.append(block(states[-1]))
    entering = states[-1]
    cls_only = rule.pool == "cls"
    states.append(blocks[-1](entering, 1 if cls_only else None))
    prefix = vit.config.prefix
    summaries = [s[prefix:].mean(0) for s in (states[:-1] if cls_only else states)]
    if vit.cls is not None:
        summaries = [s[0] for s in states] + summaries
    stacked = jnp.stack(summaries)
    z = embeddings.pool(vit, rule, states[-1])
    return {
        "tokens": stacked.ravel(),
        "norms": 0.5 * jnp.log(jnp.square(stacked).sum(-1)),
        "embedding": z,
        "depth": _depth(vit, rule, entering, states[-1], z),
    }


def _depth(vit: ViT, rule: EmbeddingRule, entering: Array, leaving: Array, z: Array) -> Array:
    """The description of every spectrum that is had in closed form, one after the other."""
    null = embeddings.null_basis(vit, rule, z).shape[1]
    grams = []
    if rule.pool == "cls":
        end = lambda x: embeddings.pool(vit, rule, x[None])
        if rule.layer is None:
            jacobian = jax.jacrev(end)(leaving[0])
            grams.append(_outer(jacobian))
        last = list(vit.blocks)[(rule.layer or vit.config.depth) - 1]
        grams.append(last_block_gram(last, entering, end))
    elif rule.layer is None:
        grams.append(_mean_norm_gram(vit, rule, leaving))
    parts = [_describe(gram, null) for gram in grams]
    return jnp.concatenate(parts).astype(z.dtype) if parts else jnp.zeros(0, z.dtype)


def _describe(gram: Float[Array, "k k"], null: int) -> Float[Array, " q"]:
    """Log-volume and quantiles of the log-eigenvalues, the `null` smallest left out."""
    with jax.enable_x64(True):
        eigenvalues = linalg.eigvalsh(gram)
        floor = float(jnp.finfo(gram.dtype).eps) * eigenvalues[-1]
        logs = jnp.log(jnp.maximum(eigenvalues, floor))[null:]
        at = [round(level * (logs.size - 1)) for level in LEVELS]
        return jnp.concatenate([0.5 * logs.sum()[None], logs[jnp.array(at)]])


def last_block_gram(block: Block, x: Float[Array, "t d"], end) -> Float[Array, "k k"]:
    """J J^T, float64, of end(CLS token leaving `block`) with respect to the tokens x entering it.

    Token t > 0 reaches the CLS token's attention output o_h = sum_t P_ht v_t (head h) through its
    key and its value alone, d o_h = P_ht (W_v^h + (v_t - o_h) (W_k^h q_h)^T) dy_t, with dy_t the
    change of its normalised self, (I - 11^T/w - n_t n_t^T/w) dx_t / s_t times gamma: the sum over
    t of the outer products of these is a few matrix products. The CLS token's own part is a
    Jacobian of one token.

    Cost: about 6 T w^2 + 4 w^3 operations, and 2 K single-token VJPs.
    """
    with jax.default_matmul_precision("highest"):
        attention, heads = block.attention, block.attention.heads
        width = x.shape[1]
        normalised, inverse = standardize_with_scale(x, block.norm1.eps)
        gamma = block.norm1.scale[...]
        kernel, bias = attention.qkv.kernel[...], attention.qkv.bias
        bias = jnp.zeros(3 * width, x.dtype) if bias is None else bias[...]

        def projected(y: Array) -> tuple[Array, Array, Array]:
            qkv = (y * gamma + block.norm1.bias[...]) @ kernel + bias
            q, k, v = jnp.split(qkv, 3, axis=-1)
            shape = (*y.shape[:-1], heads, width // heads)
            return q.reshape(shape) * (width // heads) ** -0.5, k.reshape(shape), v.reshape(shape)

        _, keys, values = projected(normalised[1:])

        def attend(first: Array) -> tuple[Array, Array, Array]:
            """The CLS token's query, weights (H, T) and output (H, D)."""
            q, k, v = projected(standardize_with_scale(first, block.norm1.eps)[0])
            every = jnp.concatenate([k[None], keys])
            weights = jax.nn.softmax(jnp.einsum("hd,thd->ht", q, every), axis=-1)
            mixed = jnp.einsum("ht,thd->hd", weights, jnp.concatenate([v[None], values]))
            return q, weights, mixed

        def rest(first: Array, mixed: Array) -> Array:
            after = block.add_attention(first, attention.out(mixed.reshape(width)))
            return end(block.feed_forward(after))

        query, weights, mixed = attend(x[0])
        through_mixed = jax.jacrev(rest, argnums=1)(x[0], mixed).reshape(-1, width)
        own = jax.jacrev(lambda first: rest(first, attend(first)[2]))(x[0])

        centre = lambda rows: rows - rows.mean(-1, keepdims=True)
        to_keys, to_values = kernel[:, width : 2 * width], kernel[:, 2 * width :]
        value_rows = centre(to_values.T * gamma)  # (w, w), a head's rows together
        key_rows = centre(
            jnp.einsum("ihd,hd->hi", to_keys.reshape(width, heads, -1), query) * gamma
        )
        share = (weights[:, 1:] * inverse[1:, 0]).astype(x.dtype)  # P_ht / s_t
        deviation = (values - mixed).transpose(1, 2, 0)  # (H, D, T)
        n = normalised[1:]

    with jax.enable_x64(True):
        wide = lambda a: a.astype(jnp.float64)
        size = width // heads
        spread = lambda a: jnp.repeat(a, size, axis=0)  # One row a head to one a coordinate.
        value_rows, key_rows, n = wide(value_rows), wide(key_rows), wide(n)
        share = spread(wide(share))
        deviation = wide(deviation.reshape(width, -1))
        moved = share * deviation
        key_rows = spread(key_rows)
        total = _dot(share, share.T) * _dot(value_rows, value_rows.T)
        cross = _dot(value_rows, key_rows.T) * _dot(share, moved.T)
        total = total + cross + cross.T + _dot(moved, moved.T) * _dot(key_rows, key_rows.T)
        seen = share * (_dot(value_rows, n.T) + deviation * _dot(key_rows, n.T))
        kept = (2 - jnp.square(n).sum(-1) / width) / width
        total = total - _dot(seen * kept, seen.T)
        out = wide(through_mixed)
        return _dot(_dot(out, total), out.T) + _outer(own)


def _mean_norm_gram(vit: ViT, rule: EmbeddingRule, leaving: Array) -> Array:
    """J J^T, float64, of a mean of patch tokens with respect to those entering the final norm."""
    norm: LayerNorm = vit.norm
    patches = leaving[vit.config.prefix :]
    normalised, inverse = standardize_with_scale(patches, norm.eps)
    mean = (normalised * norm.scale[...] + norm.bias[...]).mean(0)
    after = jax.jacrev(lambda y: embeddings.finish(vit, rule, y))(mean) * norm.scale[...]
    count, width = patches.shape
    with jax.enable_x64(True):
        n = normalised.astype(jnp.float64)
        squares = jnp.square(inverse.astype(jnp.float64))
        kept = squares * (2 - jnp.square(n).sum(-1, keepdims=True) / width) / width
        total = squares.sum() * (jnp.eye(width, dtype=jnp.float64) - 1 / width)
        total = (total - _dot((n * kept).T, n)) / count**2
        out = after.astype(jnp.float64)
        return _dot(_dot(out, total), out.T)


def _outer(jacobian: Float[Array, "k d"]) -> Float[Array, "k k"]:
    with jax.enable_x64(True):
        wide = jacobian.astype(jnp.float64)
        return _dot(wide, wide.T)


def _dot(a: Array, b: Array) -> Array:
    """A float64 product that `vmap` of a jitted caller keeps: see `estimators.factor`."""
    return jax.lax.dot(a, b, precision=jax.lax.Precision.HIGHEST)
