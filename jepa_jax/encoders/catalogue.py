"""The published encoders that can be loaded, and what one VJP through each costs."""

import dataclasses
import math
from collections.abc import Iterator

import jax

from jepa_jax.encoders import checkpoint
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.encoder import EMBEDDED, FAMILIES, abstract_model, find_family
from jepa_jax.encoders.vit import ViTConfig


@dataclasses.dataclass(frozen=True)
class Entry:
    """One published encoder: K coordinates, `pixels` a side of its usual input, FLOP a VJP."""

    name: str
    family: str
    embedding: str
    k: int
    patch: int
    pixels: int
    parameters: int
    vjp_flops: float


def catalogue() -> Iterator[Entry]:
    """Every published encoder, and the embedded one first. Reads no weights."""
    embedded = checkpoint.read_json(EMBEDDED / "config.json")
    yield _entry("embedded", embedded)
    for family in FAMILIES:
        for name, hub in family.published.items():
            yield _entry(name, {"model_type": family.model_types[0]} | hub)


def _entry(name: str, hub: dict) -> Entry:
    family = find_family(hub["model_type"])
    config = family.config(hub)
    rule = family.rule(config)
    # DINOv2's position embeddings are for 518 pixels; its image processor gives 224.
    pixels = min(config.image_size, 448) if config.image_size != 518 else 224
    leaves = jax.tree.leaves(jax.eval_shape(lambda: abstract_state(config)))
    return Entry(
        name=name,
        family=family.name,
        embedding=str(rule),
        k=rule.size(config),
        patch=config.patch_size,
        pixels=pixels,
        parameters=sum(math.prod(leaf.shape) for leaf in leaves),
        vjp_flops=vjp_flops(config, rule, pixels, pixels),
    )


def abstract_state(config: ViTConfig):
    """The parameters' shapes."""
    from flax import nnx

    return nnx.state(abstract_model(config))


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
    blocks = depth * block if rule.pool == "mean" else (depth - 1) * block + cls_block
    return blocks + 2 * patches * config.patch_size**2 * config.channels * w
