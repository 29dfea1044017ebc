"""Image towers of SigLIP, and of SigLIP 2 at a fixed size (`google/siglip-*`, `google/siglip2-*`).

Embedding: the output of the attention-pooling head; the mean of the patch tokens without one.
"""

from jepa_jax.checked_json import Fields, checked
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.families import clip
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Activation, TransformerFields, Width
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit_config import ViTConfig


class _Tower(TransformerFields):
    intermediate_size: Width = 3072
    hidden_act: Activation = "gelu_pytorch_tanh"
    vision_use_head: bool = True


class _Whole(Fields):
    vision_config: _Tower | None = None


def config(hub: dict) -> ViTConfig:
    """config.json of the whole model or of its image tower alone, to our configuration."""
    if hub["model_type"] == "siglip":
        tower = checked(_Whole, hub).vision_config or _Tower()
    else:
        tower = checked(_Tower, hub)
    return tower.vit(tower.intermediate_size, cls_token=False, attention_pool=tower.vision_use_head)


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    tokens, w = (c.image_size // c.patch_size) ** 2, c.width
    tree = {
        "patch": stored_tensors.patches("embeddings.patch_embedding", c.patch_size, c.channels, w),
        "positions": Stored({"embeddings.position_embedding.weight": (tokens, w)}),
        "blocks": {str(i): clip.block(f"encoder.layers.{i}", c) for i in range(c.depth)},
        "norm": stored_tensors.norm("post_layernorm", w),
    }
    if c.attention_pool:
        transposed = lambda x: x.T
        kernel = {"head.attention.in_proj_weight": (3 * w, w)}
        tree["pool"] = {
            "query": stored_tensors.batched("head.probe", w),
            "qkv": {
                "kernel": Stored(kernel, transposed, lambda x: [x.T]),
                "bias": Stored({"head.attention.in_proj_bias": (3 * w,)}),
            },
            "out": stored_tensors.linear("head.attention.out_proj", w, w),
            "norm": stored_tensors.norm("head.layernorm", w),
            "mlp": {
                "fc1": stored_tensors.linear("head.mlp.fc1", w, c.mlp_width),
                "fc2": stored_tensors.linear("head.mlp.fc2", c.mlp_width, w),
            },
        }
    return stored_tensors.flatten(tree)


def _published(width: int, depth: int, heads: int, mlp: int, patch: int, pixels: int) -> dict:
    tower = clip.tower(width, depth, heads, patch, "gelu_pytorch_tanh", pixels)
    return {"model_type": "siglip", "vision_config": tower | {"intermediate_size": mlp}}


_BASE, _LARGE, _SO400M = (768, 12, 12, 3072), (1024, 24, 16, 4096), (1152, 27, 16, 4304)

FAMILY = Family(
    name="SigLIP",
    model_types=("siglip", "siglip_vision_model"),
    image_processor="SiglipImageProcessor",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("pooled" if c.attention_pool else "mean"),
    ignored=(
        r"text_model\..*",
        r"logit_scale|logit_bias",
        r"(vision_model\.)?embeddings\.position_ids",
    ),
    prefixes=("", "vision_model."),
    published={
        "google/siglip-base-patch16-224": _published(*_BASE, 16, 224),
        "google/siglip-large-patch16-256": _published(*_LARGE, 16, 256),
        "google/siglip-so400m-patch14-224": _published(*_SO400M, 14, 224),
        "google/siglip2-base-patch16-224": _published(*_BASE, 16, 224),
        "google/siglip2-large-patch16-256": _published(*_LARGE, 16, 256),
        "google/siglip2-so400m-patch14-224": _published(*_SO400M, 14, 224),
    },
    facts={"": Facts("control", "Apache-2.0")},
)
