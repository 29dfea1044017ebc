"""What an encoder tells of an image at next to no cost: features for calibrated estimators."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax import linalg
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.blocks import Block
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.layers import LayerNorm, along_last, standardize_with_scale
from jepa_jax.encoders.vision_transformer import ViT
from jepa_jax.encoders.vit_config import Grid
from jepa_jax.primitive import with_derivative

# The levels at which a spectrum is described: tails, quartiles, median.
LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def covariates(
    vit: ViT, rule: EmbeddingRule, tokens: Float[Array, "t d"], grid: Grid | None = None
) -> dict[str, Array]:
    """Named features of the image whose tokens enter the first block.

    "tokens": the CLS token and the mean patch token after every block, one after the other.
    "norms": the logs of their lengths. "embedding": the embedding (K,). "depth": log-volume and
    quantiles of the log-eigenvalues of J J^T for the Jacobians of the embedding with respect to the
    tokens entering the final norm and, for a CLS embedding, the last block: both in closed form.
    (With rotary positions, the final norm alone: the last block's closed form holds where all keys
    are compared with one query as it is. With RMSNorms, none: the closed forms are LayerNorm's.)

    Cost: one forward pass, most of which a Jacobian shares; a few K^3 operations.
    """
    depth = rule.layer or vit.config.depth
    blocks = list(vit.blocks)[:depth]
    states = [tokens]
    for block in blocks[:-1]:
        states.append(block(states[-1], grid=grid))
    entering = states[-1]
    cls_only = rule.token(vit.config) == "cls"
    states.append(blocks[-1](entering, 1 if cls_only else None, grid))
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
    null, token = embeddings.null_count(vit.config, rule), rule.token(vit.config)
    found = []
    if token == "cls":
        end = lambda x: embeddings.pool(vit, rule, x[None])
        if rule.layer is None:
            found.append(_described(jax.jacrev(end)(leaving[0]), form="rows", null=null)[0])
        if vit.config.rotary is None and not vit.config.rms_norm:
            last = list(vit.blocks)[(rule.layer or vit.config.depth) - 1]
            parts = _last_block_parts(last, entering, end)
            found.append(_described(*parts, form="last_block", null=null)[0])
    elif token == "pooled" or rule.layer is not None or vit.config.rms_norm:
        pass  # No closed form.
    elif vit.config.norm_pooled:
        patches = leaving[vit.config.prefix :]
        end = lambda y: embeddings.finish(vit, rule, vit.norm(y))
        # The mean has 1 / T of every token's change.
        rows = jax.jacrev(end)(patches.mean(0)) * patches.shape[0] ** -0.5
        found.append(_described(rows, form="rows", null=null)[0])
    else:
        parts = _mean_norm_parts(vit, rule, leaving)
        found.append(_described(*parts, form="mean_norm", null=null)[0])
    return jnp.concatenate(found).astype(z.dtype) if found else jnp.zeros(0, z.dtype)


def _values(*parts: Array, form: str, null: int) -> tuple[Array]:
    """Log-volume and quantiles of the log-eigenvalues of the Gram matrix of this form, the `null`
    smallest left out."""
    with jax.enable_x64(True):
        eigenvalues = linalg.eigvalsh(_GRAMS[form](*_wide(parts)))
        logs = jnp.log(jnp.maximum(eigenvalues, _floor(eigenvalues)))[null:]
        found = jnp.concatenate([0.5 * logs.sum()[None], logs[jnp.array(_places(logs.size))]])
        return (found.astype(parts[0].dtype),)


def _jacobians(*parts: Array, form: str, null: int) -> tuple[Array, ...]:
    """The derivatives of `_values` in each of the parts: (q, *shape).

    d log lambda_k = u_k^T dG u_k / lambda_k, and that pulled back through the products of G.
    """
    with jax.enable_x64(True):
        gram, pull = jax.vjp(_GRAMS[form], *_wide(parts))
        eigenvalues, u = linalg.eigh(gram)
        live = (eigenvalues > _floor(eigenvalues)) & (jnp.arange(len(gram)) >= null)
        inverse = jnp.where(live, 1 / jnp.where(live, eigenvalues, 1), 0)
        at = jnp.array(_places(len(gram) - null)) + null
        each = jnp.concatenate(
            [jnp.full((1, len(gram)), 0.5), jnp.eye(len(gram), dtype=gram.dtype)[at]]
        )
        cotangents = jax.vmap(lambda w: linalg.dot(u * w[None], u.T))(each * inverse[None])
        found = jax.vmap(pull)(cotangents)
        return tuple(f.astype(part.dtype) for f, part in zip(found, parts, strict=True))


def _along(kept: tuple[Array, ...], tangents: tuple[Array, ...]) -> Array:
    flat = lambda a: a.reshape(len(kept[0]), -1)
    pairs = zip(kept, tangents, strict=True)
    return sum(linalg.dot(flat(j), t.ravel()) for j, t in pairs)  # type: ignore[return-value]


def _floor(eigenvalues: Array) -> Array:
    """Below it, an eigenvalue is rounding."""
    return float(jnp.finfo(eigenvalues.dtype).eps) * eigenvalues[-1]


def _places(count: int) -> list[int]:
    return [round(level * (count - 1)) for level in LEVELS]


def _wide(arrays: tuple[Array, ...]) -> list[Array]:
    return [a.astype(jnp.float64) for a in arrays]


def last_block_gram(block: Block, x: Float[Array, "t d"], end) -> Float[Array, "k k"]:
    """J J^T, float64, of end(CLS token leaving `block`) with respect to the tokens x entering it.

    Cost: about 6 T w^2 + 4 w^3 operations, and 2 K single-token VJPs.
    """
    with jax.enable_x64(True):
        return _last_block_gram(*_wide(_last_block_parts(block, x, end)))


def _last_block_parts(block: Block, x: Float[Array, "t d"], end) -> tuple[Array, ...]:
    """What `_last_block_gram` is made of.

    Token t > 0 reaches the CLS token's attention output o_h = sum_t P_ht v_t (head h) through its
    key and its value alone, d o_h = P_ht (W_v^h + (v_t - o_h) (W_k^h q_h)^T) dy_t, with dy_t the
    change of its normalised self, (I - 11^T/w - n_t n_t^T/w) dx_t / s_t times gamma: the sum over
    t of the outer products of these is a few matrix products. The CLS token's own part is a
    Jacobian of one token.
    """
    with jax.default_matmul_precision("highest"):
        attention, heads = block.attention, block.attention.heads
        assert isinstance(block.norm1, LayerNorm)
        shift = block.norm1.bias[...]
        width = x.shape[1]
        normalised, inverse = standardize_with_scale(x, block.norm1.eps)
        gamma = block.norm1.scale[...]
        kernel, bias = attention.qkv.kernel[...], attention.qkv.bias
        bias = jnp.zeros(3 * width, x.dtype) if bias is None else bias[...]

        def projected(y: Array) -> tuple[Array, Array, Array]:
            y = y * along_last(gamma, y) + along_last(shift, y)
            qkv = y @ kernel
            qkv = qkv + along_last(bias, qkv)
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
        value_rows = centre(to_values.T * gamma[None])  # (w, w), a head's rows together
        key_rows = centre(
            jnp.einsum("ihd,hd->hi", to_keys.reshape(width, heads, -1), query) * gamma[None]
        )
        share = (weights[:, 1:] * inverse[None, 1:, 0]).astype(x.dtype)  # P_ht / s_t
        deviation = (values - mixed[None]).transpose(1, 2, 0)  # (H, D, T)
        deviation = deviation.reshape(width, -1)
        return value_rows, key_rows, share, deviation, normalised[1:], through_mixed, own


def _last_block_gram(
    value_rows: Float[Array, "w w"],
    key_rows: Float[Array, "h w"],
    share: Float[Array, "h t"],
    deviation: Float[Array, "w t"],
    n: Float[Array, "t w"],
    out: Float[Array, "k w"],
    own: Float[Array, "k w"],
) -> Float[Array, "k k"]:
    width = len(value_rows)
    spread = lambda a: jnp.repeat(a, width // len(a), axis=0)  # One row a head to a coordinate.
    share, key_rows = spread(share), spread(key_rows)
    moved = share * deviation
    total = linalg.dot(share, share.T) * linalg.dot(value_rows, value_rows.T)
    cross = linalg.dot(value_rows, key_rows.T) * linalg.dot(share, moved.T)
    total = total + cross + cross.T + linalg.dot(moved, moved.T) * linalg.dot(key_rows, key_rows.T)
    seen = share * (linalg.dot(value_rows, n.T) + deviation * linalg.dot(key_rows, n.T))
    kept = (2 - jnp.square(n).sum(-1) / width) / width
    total = total - linalg.dot(seen * kept[None], seen.T)
    return linalg.dot(linalg.dot(out, total), out.T) + _outer(own)


def _mean_norm_parts(vit: ViT, rule: EmbeddingRule, leaving: Array) -> tuple[Array, ...]:
    """What `_mean_norm_gram` is made of."""
    norm = vit.norm
    assert isinstance(norm, LayerNorm)
    patches = leaving[vit.config.prefix :]
    normalised, inverse = standardize_with_scale(patches, norm.eps)
    scale = norm.scale[...][None]
    mean = (normalised * scale + norm.bias[...][None]).mean(0)
    after = jax.jacrev(lambda y: embeddings.finish(vit, rule, y))(mean) * scale
    return normalised, inverse, after


def _mean_norm_gram(
    n: Float[Array, "t w"], inverse: Float[Array, "t 1"], out: Float[Array, "k w"]
) -> Float[Array, "k k"]:
    """J J^T of a mean of patch tokens with respect to those entering the final norm."""
    count, width = n.shape
    squares = jnp.square(inverse)
    kept = squares * (2 - jnp.square(n).sum(-1, keepdims=True) / width) / width
    total = squares.sum() * (jnp.eye(width, dtype=n.dtype) - 1 / width)
    total = (total - linalg.dot((n * kept).T, n)) / count**2
    return linalg.dot(linalg.dot(out, total), out.T)


def _outer(jacobian: Float[Array, "k d"]) -> Float[Array, "k k"]:
    return linalg.dot(jacobian, jacobian.T)


_GRAMS = {"rows": _outer, "last_block": _last_block_gram, "mean_norm": _mean_norm_gram}
# Operations in float64 within a float32 program do not stand to be differentiated.
_described = with_derivative(
    "described_spectrum", _values, _jacobians, _along, static=("form", "null")
)
