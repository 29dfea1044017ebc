"""What one VJP of an encoder costs."""

import itertools

from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.vit_config import ViTConfig


def vjp_flops(config: ViTConfig, rule: EmbeddingRule, height: int, width: int) -> float:
    """Floating-point operations of one VJP of the embedding with respect to the image.

    Two a weight and token for the products with the weights, and four T x T x width products a
    block for the attention (two for each of the forward pass). A block that is evaluated for the
    CLS token alone costs its keys and values for all tokens, and the rest for one.
    """
    rows, columns = config.grid(height, width)
    patches, w = rows * columns, config.width
    tokens = patches + config.prefix
    mlp = (3 if config.gated_mlp else 2) * w * config.mlp_width
    block = 2 * tokens * (4 * w * w + mlp) + 4 * 2 * tokens * tokens * w
    cls_block = 2 * (tokens * 2 * w * w + 2 * w * w + mlp) + 4 * 2 * tokens * w
    depth = rule.layer or config.depth
    token = rule.token(config)
    blocks = (depth - 1) * block + cls_block if token == "cls" else depth * block
    if token == "pooled":
        # The head: one query to all tokens, and an MLP.
        blocks += cls_block - (2 * mlp if config.plain_pool else 0)
    if rule.pool == "projector" and config.projector is not None:
        widths = (w, *config.projector.widths)
        blocks += 2 * sum(n * m for n, m in itertools.pairwise(widths))
    return blocks + 2 * patches * config.patch_size**2 * config.channels * w
