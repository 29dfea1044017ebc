"""What a vision transformer is made of: attention, MLP, block, and the head that pools tokens."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jepa_jax.encoders.activations import ACTIVATIONS
from jepa_jax.encoders.attention import attention
from jepa_jax.encoders.layers import LayerNorm, Linear, RMSNorm, along_last
from jepa_jax.encoders.rotary import rotate, rotate_in_time
from jepa_jax.encoders.vit_config import Grid, ViTConfig
from jepa_jax.recompute import recomputed


def norm_of(config: ViTConfig) -> LayerNorm | RMSNorm:
    """A norm of the tokens of an encoder."""
    kind = RMSNorm if config.rms_norm else LayerNorm
    return kind(config.width, config.layer_norm_eps)


class Attention(nnx.Module):
    """Multi-head self-attention with one fused projection to queries, keys and values."""

    def __init__(self, config: ViTConfig):
        # One that only some parts have is zero for the others.
        self.qkv = Linear(config.width, 3 * config.width, bias=config.any_qkv_bias)
        self.out = Linear(config.width, config.width, bias=config.out_bias)
        self.heads, self.prefix, self.rotary = config.heads, config.prefix, config.rotary
        self.in_time, self.spread = config.rotary_in_time, config.rotary_grid
        # All frames but still images at any resolution are squares.
        self.squares = self.spread is None or config.frames is not None

    def __call__(
        self, x: Float[Array, "t d"], queries: int | None = None, grid: Grid | None = None
    ) -> Float[Array, "q d"]:
        """Attention of the first `queries` tokens (default: all) to all tokens.

        `grid`: rows and columns of patches, by which queries and keys are rotated where they are.
        """
        tokens, width = x.shape
        if queries is None or queries == tokens:
            q, k, v = jnp.split(self.qkv(x), 3, axis=-1)
        else:
            # Only the keys and values of the other tokens reach the result: their queries are
            # never formed, and so never differentiated.
            q = self.qkv(x[:queries], 0, width)
            k, v = jnp.split(self.qkv(x, width), 2, axis=-1)
        q = q * (width // self.heads) ** -0.5
        q, k, v = (split_heads(t, self.heads) for t in (q, k, v))
        if self.rotary is not None:
            if grid is None:
                raise ValueError("rotary positions need `grid`, the rows and columns of patches")
            if self.in_time:
                rows, columns = grid
                each = columns if self.squares else rows
                in_time = (rows // each, each, columns)
                q, k = (rotate_in_time(t, in_time, self.rotary, self.spread) for t in (q, k))
            else:
                q, k = (rotate(t, self.prefix, grid, self.rotary) for t in (q, k))
        mixed = attention(q, k, v)
        return self.out(mixed.transpose(1, 0, 2).reshape(-1, width))


def split_heads(x: Float[Array, "t d"], heads: int) -> Float[Array, "h t c"]:
    """Every head's part of the channels."""
    return x.reshape(x.shape[0], heads, -1).transpose(1, 0, 2)


class MLP(nnx.Module):
    """fc2(act(fc1(x))), or the gated fc2(act(gate) * up) with [gate, up] = fc1(x)."""

    def __init__(self, config: ViTConfig):
        hidden, bias = config.mlp_width * (2 if config.gated_mlp else 1), config.mlp_bias
        self.fc1 = Linear(config.width, hidden, bias=bias)
        self.fc2 = Linear(config.mlp_width, config.width, bias=bias)
        self.activation = ACTIVATIONS[config.activation]
        self.gated = config.gated_mlp

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        hidden = self.fc1(x)
        if self.gated:
            gate, up = jnp.split(hidden, 2, axis=-1)
            return self.fc2(self.activation(gate) * up)
        return self.fc2(self.activation(hidden))


class AttentionPool(nnx.Module):
    """One vector of all tokens: a learned query's attention y to them, then y + mlp(norm(y)).

    With `plain_pool`, y alone, of the query as it is learned.
    """

    def __init__(self, config: ViTConfig):
        self.query = nnx.Param(jnp.zeros(config.width))
        self.plain = config.plain_pool
        parts = 2 if self.plain else 3
        self.qkv = Linear(config.width, parts * config.width, bias=config.any_qkv_bias)
        self.out = Linear(config.width, config.width)
        self.norm = None if self.plain else norm_of(config)
        self.mlp = None if self.plain else MLP(config)
        self.heads = config.heads

    def __call__(self, x: Float[Array, "t d"]) -> Float[Array, " d"]:
        width = x.shape[1]
        q = self.query[...][None]
        q = (q if self.plain else self.qkv(q, 0, width)) * (width // self.heads) ** -0.5
        k, v = jnp.split(self.qkv(x, 0 if self.plain else width), 2, axis=-1)
        mixed = attention(*(split_heads(t, self.heads) for t in (q, k, v)))
        y = self.out(mixed.transpose(1, 0, 2).reshape(-1, width))
        if self.norm is not None and self.mlp is not None:
            y = y + self.mlp(self.norm(y))
        return y[0]


class Block(nnx.Module):
    """x + s1 * attention(norm1(x)), then x + s2 * mlp(norm2(x))."""

    def __init__(self, config: ViTConfig):
        self.norm1 = norm_of(config)
        self.attention = Attention(config)
        self.norm2 = norm_of(config)
        self.mlp = MLP(config)
        self.scale1 = nnx.Param(jnp.ones(config.width)) if config.layer_scale else None
        self.scale2 = nnx.Param(jnp.ones(config.width)) if config.layer_scale else None
        self.recompute = config.recompute

    def __call__(
        self, x: Float[Array, "t d"], outputs: int | None = None, grid: Grid | None = None
    ) -> Float[Array, "q d"]:
        """The block's output at the first `outputs` tokens (default: all)."""
        if self.recompute and outputs is None:
            graph, state = nnx.split(self)
            parameters, structure = jax.tree.flatten(state)
            x = recomputed(_Half("attend", graph, structure, grid), x, *parameters)
            return recomputed(_Half("feed_forward", graph, structure), x, *parameters)
        return self.feed_forward(self.attend(x, outputs, grid))

    def attend(
        self, x: Float[Array, "t d"], outputs: int | None = None, grid: Grid | None = None
    ) -> Float[Array, "q d"]:
        """The first half: the first `outputs` tokens (default: all) after the attention."""
        return self.add_attention(x[:outputs], self.attention(self.norm1(x), outputs, grid))

    def add_attention(self, x: Float[Array, "*q d"], y: Float[Array, "*q d"]):
        """The first half's output from its input `x` and its attention's output `y`."""
        return x + (y if self.scale1 is None else y * along_last(self.scale1[...], y))

    def feed_forward(self, x: Float[Array, "*q d"]) -> Float[Array, "*q d"]:
        """The second half."""
        y = self.mlp(self.norm2(x))
        return x + (y if self.scale2 is None else y * along_last(self.scale2[...], y))


@dataclasses.dataclass(frozen=True)
class _Half:
    """One half of a block as a function of its input and the block's parameters."""

    name: str
    graph: nnx.GraphDef
    structure: Any  # Of the parameters' tree.
    grid: Grid | None = None

    def __call__(self, x: Array, *parameters: Array) -> Array:
        block = nnx.merge(self.graph, jax.tree.unflatten(self.structure, parameters))
        if self.name == "attend":
            return block.attend(x, grid=self.grid)
        return block.feed_forward(x)
