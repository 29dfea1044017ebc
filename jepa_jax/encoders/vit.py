"""One vision transformer for every family: pre-norm blocks, and the parts that some have.

Those are CLS, registers, LayerScale, gated MLPs and rotary positions. The module acts on one image;
a batch is `jax.vmap` of it. Parameters keep the names of this file: a family's file translates a
checkpoint's names into them.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jepa_jax.encoders.activations import ACTIVATIONS
from jepa_jax.encoders.attention import attention
from jepa_jax.encoders.layers import LayerNorm, Linear, along_last
from jepa_jax.encoders.rotary import rotate, rotate_in_time
from jepa_jax.products import product
from jepa_jax.recompute import recomputed

Grid = tuple[int, int]  # Rows and columns of patches.
Pixels = Float[Array | np.ndarray, "h w c"]  # An image as `Encoder.preprocess` makes it.


@dataclasses.dataclass(frozen=True)
class ViTConfig:
    """The shape of a vision transformer; every family's configuration becomes one of these.

    Lengths are in pixels (`image_size`, `patch_size`) or channels (`width`, `mlp_width`,
    `projection`). `qkv_bias`: of queries, keys and values together, or each. `image_size` is the
    resolution of the stored position embeddings; other resolutions that `patch_size` divides are
    served by resizing them, antialiased or not as the family does it. With `rotary`, the base of
    the rotations' frequencies, patches have no position embeddings but queries and keys rotated by
    their place (`jepa_jax.encoders.rotary`), at every resolution; with `rotary_in_time`,
    by frame, row and column as V-JEPA 2 does it, at `image_size` alone. The `frames` of a clip
    become one array: tubelets one below the other, the channels of their frames side by side. With
    `norm_pooled`, the final norm is of the pooled token: of the mean of the patch tokens, not of
    each. With `attention_pool`, a head pools the normed tokens by attention.
    """

    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    mlp_width: int
    channels: int = 3
    activation: str = "gelu"
    gated_mlp: bool = False
    layer_norm_eps: float = 1e-6
    cls_token: bool = True
    registers: int = 0
    layer_scale: bool = False
    qkv_bias: bool | tuple[bool, bool, bool] = True
    patch_bias: bool = True
    input_norm: bool = False
    projection: int | None = None
    antialias_positions: bool = False
    rotary: float | None = None
    rotary_in_time: bool = False
    frames: int | None = None
    norm_pooled: bool = False
    attention_pool: bool = False

    def __post_init__(self):
        for name in (
            "image_size",
            "patch_size",
            "width",
            "depth",
            "heads",
            "mlp_width",
            "channels",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(
                f"`width` must be a multiple of `heads`, got {self.width}, {self.heads}"
            )
        if self.rotary is not None and self.width // self.heads % 4 and not self.rotary_in_time:
            raise ValueError(
                "with `rotary`, the `width` of a head must be a multiple of 4, got "
                f"{self.width} for {self.heads} heads"
            )
        if self.image_size % self.patch_size:
            raise ValueError(
                f"`image_size` must be a multiple of `patch_size`, got {self.image_size}, "
                f"{self.patch_size}"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {sorted(ACTIVATIONS)}, got {self.activation!r}"
            )

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches: the CLS token and the registers."""
        return int(self.cls_token) + self.registers

    @property
    def recompute(self) -> bool:
        """Whether blocks keep only their inputs for derivatives, and compute the rest again.

        So in deep models, where what all blocks keep is a large part of a Jacobian's rows.
        """
        return self.depth > 16

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches of a `height` x `width` image."""
        if height % self.patch_size or width % self.patch_size or not height or not width:
            raise ValueError(
                f"the image's height and width must be multiples of the patch size "
                f"{self.patch_size}, got {height} x {width}"
            )
        side = self.image_size
        if self.rotary_in_time and (width != side or height % side):
            raise ValueError(
                f"the positions of this encoder are those of {side} x {side} pixels (and clips of "
                f"that, one tubelet below the other), got {height} x {width}"
            )
        return height // self.patch_size, width // self.patch_size


class Attention(nnx.Module):
    """Multi-head self-attention with one fused projection to queries, keys and values."""

    def __init__(self, config: ViTConfig):
        # One that only some parts have is zero for the others.
        bias = config.qkv_bias if isinstance(config.qkv_bias, bool) else any(config.qkv_bias)
        self.qkv = Linear(config.width, 3 * config.width, bias=bias)
        self.out = Linear(config.width, config.width)
        self.heads, self.prefix, self.rotary = config.heads, config.prefix, config.rotary
        self.in_time = config.rotary_in_time

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
            turn = rotate_in_time if self.in_time else rotate
            q, k = (turn(t, self.prefix, grid, self.rotary) for t in (q, k))
        mixed = attention(q, k, v)
        return self.out(mixed.transpose(1, 0, 2).reshape(-1, width))


def split_heads(x: Float[Array, "t d"], heads: int) -> Float[Array, "h t c"]:
    """Every head's part of the channels."""
    return x.reshape(x.shape[0], heads, -1).transpose(1, 0, 2)


class MLP(nnx.Module):
    """fc2(act(fc1(x))), or the gated fc2(act(gate) * up) with [gate, up] = fc1(x)."""

    def __init__(self, config: ViTConfig):
        self.fc1 = Linear(config.width, config.mlp_width * (2 if config.gated_mlp else 1))
        self.fc2 = Linear(config.mlp_width, config.width)
        self.activation = ACTIVATIONS[config.activation]
        self.gated = config.gated_mlp

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        hidden = self.fc1(x)
        if self.gated:
            gate, up = jnp.split(hidden, 2, axis=-1)
            return self.fc2(self.activation(gate) * up)
        return self.fc2(self.activation(hidden))


class AttentionPool(nnx.Module):
    """One vector of all tokens: a learned query's attention y to them, then y + mlp(norm(y))."""

    def __init__(self, config: ViTConfig):
        self.query = nnx.Param(jnp.zeros(config.width))
        self.qkv = Linear(config.width, 3 * config.width)
        self.out = Linear(config.width, config.width)
        self.norm = LayerNorm(config.width, config.layer_norm_eps)
        self.mlp = MLP(config)
        self.heads = config.heads

    def __call__(self, x: Float[Array, "t d"]) -> Float[Array, " d"]:
        width = x.shape[1]
        q = self.qkv(self.query[...][None], 0, width) * (width // self.heads) ** -0.5
        k, v = jnp.split(self.qkv(x, width), 2, axis=-1)
        mixed = attention(*(split_heads(t, self.heads) for t in (q, k, v)))
        y = self.out(mixed.transpose(1, 0, 2).reshape(-1, width))
        return (y + self.mlp(self.norm(y)))[0]


class Block(nnx.Module):
    """x + s1 * attention(norm1(x)), then x + s2 * mlp(norm2(x))."""

    def __init__(self, config: ViTConfig):
        self.norm1 = LayerNorm(config.width, config.layer_norm_eps)
        self.attention = Attention(config)
        self.norm2 = LayerNorm(config.width, config.layer_norm_eps)
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


class ViT(nnx.Module):
    """A vision transformer on one image (H, W, C); patches in row-major order.

    Cost of a forward pass, and of one VJP with respect to the image: about
    `2 * parameters * tokens` floating-point operations.
    """

    def __init__(self, config: ViTConfig):
        self.config = config
        width, patches = config.width, (config.image_size // config.patch_size) ** 2
        inputs = config.patch_size**2 * config.channels
        self.patch = Linear(inputs, width, bias=config.patch_bias)
        self.cls = nnx.Param(jnp.zeros(width)) if config.cls_token else None
        self.registers = (
            nnx.Param(jnp.zeros((config.registers, width))) if config.registers else None
        )
        # One row a patch, after the CLS token's own; registers have none.
        self.positions = (
            nnx.Param(jnp.zeros((int(config.cls_token) + patches, width)))
            if config.rotary is None
            else None
        )
        self.input_norm = LayerNorm(width, config.layer_norm_eps) if config.input_norm else None
        self.blocks = nnx.List([Block(config) for _ in range(config.depth)])
        self.norm = LayerNorm(width, config.layer_norm_eps)
        self.pool = AttentionPool(config) if config.attention_pool else None
        self.projection = (
            Linear(width, config.projection, bias=False) if config.projection else None
        )

    def tokens(self, image: Pixels) -> Float[Array, "t d"]:
        """The tokens entering the first block: CLS, registers, patches."""
        return self._with_prefix(self.patch(self._patches(image)))

    def coordinates(self, image: Pixels) -> Float[Array, "rows columns n"]:
        """The image in orthonormal coordinates of what the patch projection sees of it.

        Patches on their grid, and where a patch has more pixels than the encoder has channels, its
        coordinates in an orthonormal basis of the projection's row space. Nothing else of an image
        reaches the tokens: a Jacobian with respect to the coordinates has the singular values of
        the one with respect to the pixels, and fewer columns.
        """
        patches = self._patches(image)
        factors = self._patch_factors()
        if factors is None:
            return patches
        # Whatever precision is set: these are the inputs, and differentiated nowhere.
        return jnp.matmul(patches, factors[0], precision=jax.lax.Precision.HIGHEST)

    def tokens_at(self, coordinates: Float[Array, "rows columns n"]) -> Float[Array, "t d"]:
        """`tokens` of the image that has these `coordinates`."""
        factors = self._patch_factors()
        if factors is None:
            return self._with_prefix(self.patch(coordinates))
        x = product(coordinates, factors[1])
        bias = self.patch.bias
        return self._with_prefix(x if bias is None else x + along_last(bias[...], x))

    def _patch_factors(self) -> tuple[Array, Array] | None:
        """Q and R of the patch projection, Q with orthonormal columns; None where Q is square."""
        kernel = self.patch.kernel[...]
        if kernel.shape[0] <= kernel.shape[1]:
            return None
        short = jnp.finfo(kernel.dtype).bits < 32  # Types that QR is not made for.
        q, r = jnp.linalg.qr(kernel.astype(jnp.float32) if short else kernel)
        return q.astype(kernel.dtype), r.astype(kernel.dtype)

    def _patches(self, image: Pixels) -> Float[Array, "rows columns n"]:
        """Patches on their grid, the pixels of each in row-major order."""
        config = self.config
        if image.ndim != 3 or image.shape[-1] != config.channels:
            raise ValueError(
                f"an image must have shape (height, width, {config.channels}), got {image.shape}"
            )
        rows, columns = config.grid(*image.shape[:2])
        p = config.patch_size
        patches = jnp.asarray(image).reshape(rows, p, columns, p, config.channels)
        patches = patches.transpose(0, 2, 1, 3, 4)
        return patches.reshape(rows, columns, -1)

    def _with_prefix(self, projected: Float[Array, "rows columns d"]) -> Float[Array, "t d"]:
        """All tokens from the projected patches."""
        config = self.config
        rows, columns, _ = projected.shape
        x = projected.reshape(rows * columns, -1)
        cls = None if self.cls is None else self.cls[...][None]
        if self.positions is not None:
            positions = self.positions[...]
            x = x + self._patch_positions(positions[int(config.cls_token) :], rows, columns)
            cls = None if cls is None else cls + positions[:1]
        prefix = [] if cls is None else [cls]
        if self.registers is not None:
            prefix.append(self.registers[...])
        x = jnp.concatenate([*prefix, x]) if prefix else x
        return x if self.input_norm is None else self.input_norm(x)

    def _patch_positions(self, stored: Float[Array, "p d"], rows: int, columns: int):
        """Position embeddings on a `rows` x `columns` grid, resized bicubically if need be."""
        side = self.config.image_size // self.config.patch_size
        if (rows, columns) == (side, side):
            return stored
        grid = stored.reshape(side, side, -1)
        # PyTorch's bicubic kernel has a = -0.75 without antialias, a = -0.5 with it.
        antialias = self.config.antialias_positions
        grid = jax.image.resize(
            grid,
            (rows, columns, grid.shape[-1]),
            "bicubic" if antialias else "bicubic-pytorch",
            antialias=antialias,
        )
        return grid.reshape(rows * columns, -1)

    def hidden_states(self, image: Pixels) -> list[Float[Array, "t d"]]:
        """The tokens entering the first block and leaving every block, before the final norm."""
        states = [self.tokens(image)]
        grid = self.config.grid(*image.shape[:2])
        for block in self.blocks:
            states.append(block(states[-1], grid=grid))
        return states

    def features(
        self,
        tokens: Float[Array, "t d"],
        *,
        cls_only: bool = False,
        depth: int | None = None,
        grid: Grid | None = None,
    ) -> Float[Array, "q d"]:
        """`tokens` as they leave block `depth` (default: the last), before the final norm.

        With `cls_only`, the CLS token alone, shape (1, d), and the last block evaluated is
        evaluated for it alone: all but its keys and values then vanishes from every VJP. `grid`,
        the rows and columns of patches, is needed where positions are rotary.
        """
        x = tokens
        blocks = list(self.blocks)[:depth]
        for i, block in enumerate(blocks):
            x = block(x, 1 if cls_only and i == len(blocks) - 1 else None, grid)
        return x
