"""Image towers of CLIP's architecture: OpenAI CLIP and MetaCLIP.

Embedding: the CLS token after the final LayerNorm, projected to the space shared with text.
"""

import dataclasses

from jepa_jax.checked_json import Fields, checked
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Activation, Epsilon, Side, TransformerFields, Width
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit_config import ViTConfig


class _Tower(TransformerFields):
    patch_size: Side = 32
    intermediate_size: Width = 3072
    hidden_act: Activation = "quick_gelu"
    layer_norm_eps: Epsilon = 1e-5


class _Whole(Fields):
    architectures: list[str] | None = None
    projection_dim: Width = 512
    vision_config: _Tower | None = None


def config(hub: dict) -> ViTConfig:
    """config.json of the whole model or of its image tower alone, to our configuration.

    The whole model's `projection_dim` is the one that holds, not its image tower's.
    """
    whole = checked(_Whole, hub)
    if hub["model_type"] in ("clip", "metaclip_2"):
        tower, projected = whole.vision_config or _Tower(), True
    else:
        tower = checked(_Tower, hub)
        # Of "CLIP", or of "MetaClip2".
        projected = any(
            name.endswith("VisionModelWithProjection") for name in whole.architectures or []
        )
    return tower.vit(
        tower.intermediate_size,
        patch_bias=False,
        input_norm=True,
        projection=whole.projection_dim if projected else None,
    )


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    tokens = 1 + (c.image_size // c.patch_size) ** 2
    tree = {
        "patch": stored_tensors.patches(
            "embeddings.patch_embedding", c.patch_size, c.channels, c.width, bias=False
        ),
        "cls": Stored({"embeddings.class_embedding": (c.width,)}),
        "positions": Stored({"embeddings.position_embedding.weight": (tokens, c.width)}),
        "input_norm": stored_tensors.norm("pre_layrnorm", c.width),
        "blocks": {str(i): block(f"encoder.layers.{i}", c) for i in range(c.depth)},
        "norm": stored_tensors.norm("post_layernorm", c.width),
    }
    flat = stored_tensors.flatten(tree)
    if c.projection is not None:
        # The projection lies beside the image tower, which has a prefix in such a checkpoint.
        flat = {ours: _under("vision_model.", stored) for ours, stored in flat.items()}
        projection = stored_tensors.linear("visual_projection", c.width, c.projection, bias=False)
        flat |= stored_tensors.flatten({"projection": projection})
    return flat


def _under(prefix: str, stored: Stored) -> Stored:
    shapes = {prefix + name: shape for name, shape in stored.shapes.items()}
    return dataclasses.replace(stored, shapes=shapes)


def block(name: str, c: ViTConfig) -> dict:
    """One block's parameters."""
    qkv = [f"{name}.self_attn.{part}_proj" for part in "qkv"]
    return {
        "norm1": stored_tensors.norm(f"{name}.layer_norm1", c.width),
        "attention": {
            "qkv": stored_tensors.joined(qkv, c.width, c.width),
            "out": stored_tensors.linear(f"{name}.self_attn.out_proj", c.width, c.width),
        },
        "norm2": stored_tensors.norm(f"{name}.layer_norm2", c.width),
        "mlp": {
            "fc1": stored_tensors.linear(f"{name}.mlp.fc1", c.width, c.mlp_width),
            "fc2": stored_tensors.linear(f"{name}.mlp.fc2", c.mlp_width, c.width),
        },
    }


def _rule(c: ViTConfig) -> EmbeddingRule:
    return EmbeddingRule("cls", projected=c.projection is not None)


def tower(width: int, depth: int, heads: int, patch: int, act: str, size: int = 224) -> dict:
    """config.json of an image tower, where MLPs have four times the width."""
    return {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
        "patch_size": patch,
        "image_size": size,
        "hidden_act": act,
    }


def published(projection: int, tower: dict, model_type: str = "clip") -> dict:
    """config.json of a whole model with this image tower."""
    return {"model_type": model_type, "projection_dim": projection, "vision_config": tower}


def _models() -> dict[str, dict]:
    base, large, huge = (768, 12, 12), (1024, 24, 16), (1280, 32, 16)
    models = {
        "openai/clip-vit-base-patch32": published(512, tower(*base, 32, "quick_gelu")),
        "openai/clip-vit-base-patch16": published(512, tower(*base, 16, "quick_gelu")),
        "openai/clip-vit-large-patch14": published(768, tower(*large, 14, "quick_gelu")),
        "openai/clip-vit-large-patch14-336": published(768, tower(*large, 14, "quick_gelu", 336)),
    }
    for data in ("400m", "fullcc2.5b"):
        for name, k, size, patch in (
            ("b32", 512, base, 32),
            ("b16", 512, base, 16),
            ("l14", 768, large, 14),
        ):
            models[f"facebook/metaclip-{name}-{data}"] = published(
                k, tower(*size, patch, "quick_gelu")
            )
    models["facebook/metaclip-h14-fullcc2.5b"] = published(1024, tower(*huge, 14, "quick_gelu"))
    return models


FAMILY = Family(
    name="CLIP",
    model_types=("clip", "clip_vision_model"),
    image_processor="CLIPImageProcessor",
    config=config,
    parameters=parameters,
    rule=_rule,
    # The text tower, the contrastive temperature, and an index buffer of old checkpoints.
    ignored=(
        r"text_model\..*",
        r"text_projection\..*",
        r"logit_scale",
        r"(vision_model\.)?embeddings\.position_ids",
    ),
    prefixes=("", "vision_model."),
    published=_models(),
    facts={
        "": Facts("contrastive", "MIT"),
        "facebook/metaclip": Facts("contrastive", "CC-BY-NC-4.0"),
        "facebook/metaclip-b16-400m": Facts("contrastive", "CC-BY-NC-4.0", safetensors=False),
    },
)
