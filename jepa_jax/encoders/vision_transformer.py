"""One vision transformer for every family: pre-norm blocks, and the parts that some have.

Those are CLS, registers, LayerScale, gated MLPs and rotary positions. The module acts on one image;
a batch is `jax.vmap` of it. Parameters keep the names of this file and of blocks.py: a family's
file translates a checkpoint's names into them.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jepa_jax.encoders.blocks import AttentionPool, Block, norm_of
from jepa_jax.encoders.layers import Linear, along_last
from jepa_jax.encoders.positions import sincos
from jepa_jax.encoders.projector import Projector
from jepa_jax.encoders.vit_config import Grid, ViTConfig
from jepa_jax.products import product

Pixels = Float[Array | np.ndarray, "h w c"]  # An image as `Encoder.preprocess` makes it.


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
            if config.rotary is None and not config.sincos_positions
            else None
        )
        self.patch_norm = norm_of(config) if config.patch_norm else None
        self.input_norm = norm_of(config) if config.input_norm else None
        self.blocks = nnx.List([Block(config) for _ in range(config.depth)])
        self.norm = norm_of(config)
        self.pool = AttentionPool(config) if config.attention_pool else None
        self.projection = (
            Linear(width, config.projection, bias=False) if config.projection else None
        )
        self.projector = Projector(width, config.projector) if config.projector else None

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
        x = x if self.patch_norm is None else self.patch_norm(x)
        if config.sincos_positions:
            x = x + jnp.asarray(sincos((rows, columns), config.width), x.dtype)
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
