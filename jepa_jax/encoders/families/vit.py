"""Plain vision transformers: DINO v1 and Phikon (`vit`), MSN (`vit_msn`), MAE (`vit_mae`).

Embedding: the CLS token after the final LayerNorm. A masked autoencoder's decoder is not read.
"""

from jepa_jax.checked_json import checked
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Epsilon, TransformerFields, Width
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit_config import ViTConfig


class _Fields(TransformerFields):
    intermediate_size: Width = 3072
    layer_norm_eps: Epsilon = 1e-12
    qkv_bias: bool = True


class _MSN(_Fields):
    layer_norm_eps: Epsilon = 1e-6


def config(hub: dict) -> ViTConfig:
    """config.json to our configuration; the defaults are those of `transformers`."""
    fields = checked(_MSN if hub["model_type"] == "vit_msn" else _Fields, hub)
    return fields.vit(fields.intermediate_size, qkv_bias=fields.qkv_bias)


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    tokens = int(c.cls_token) + (c.image_size // c.patch_size) ** 2
    tree = {
        "patch": stored_tensors.patches(
            "embeddings.patch_embeddings.projection", c.patch_size, c.channels, c.width
        ),
        "positions": stored_tensors.batched("embeddings.position_embeddings", tokens, c.width),
        "blocks": {str(i): _block(f"encoder.layer.{i}", c) for i in range(c.depth)},
        "norm": stored_tensors.norm("layernorm", c.width),
    }
    if c.cls_token:
        tree["cls"] = stored_tensors.batched("embeddings.cls_token", c.width)
    return stored_tensors.flatten(tree)


def _block(name: str, c: ViTConfig) -> dict:
    qkv = [f"{name}.attention.attention.{part}" for part in ("query", "key", "value")]
    return {
        "norm1": stored_tensors.norm(f"{name}.layernorm_before", c.width),
        "attention": {
            "qkv": stored_tensors.joined(qkv, c.width, c.width, c.qkv_bias),
            "out": stored_tensors.linear(f"{name}.attention.output.dense", c.width, c.width),
        },
        "norm2": stored_tensors.norm(f"{name}.layernorm_after", c.width),
        "mlp": {
            "fc1": stored_tensors.linear(f"{name}.intermediate.dense", c.width, c.mlp_width),
            "fc2": stored_tensors.linear(f"{name}.output.dense", c.mlp_width, c.width),
        },
    }


def _published(kind: str, width: int = 768, depth: int = 12, heads: int = 12, **more) -> dict:
    sizes = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}
    return {"model_type": kind, "intermediate_size": 4 * width} | sizes | more


FAMILY = Family(
    name="ViT",
    model_types=("vit", "vit_msn", "vit_mae"),
    image_processor="ViTImageProcessor",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("cls"),
    ignored=(r"embeddings\.mask_token", r"pooler\..*", r"classifier\..*", r"decoder\..*"),
    prefixes=("", "vit."),
    published={
        "facebook/dino-vits16": _published("vit", 384, heads=6),
        "facebook/dino-vits8": _published("vit", 384, heads=6, patch_size=8),
        "facebook/dino-vitb16": _published("vit"),
        "facebook/dino-vitb8": _published("vit", patch_size=8),
        "owkin/phikon": _published("vit"),
        "facebook/vit-msn-small": _published("vit_msn", 384, heads=6),
        "facebook/vit-msn-base": _published("vit_msn"),
        "facebook/vit-msn-large": _published("vit_msn", 1024, 24, 16),
        "facebook/vit-mae-base": _published("vit_mae"),
        "facebook/vit-mae-large": _published("vit_mae", 1024, 24, 16),
        "facebook/vit-mae-huge": _published("vit_mae", 1280, 32, 16, patch_size=14),
    },
    facts={
        "": Facts("justified", "Apache-2.0"),
        "owkin/phikon": Facts("justified", "Owkin, non-commercial"),
        "facebook/dino-vits16": Facts("justified", "Apache-2.0", safetensors=False),
        "facebook/dino-vitb16": Facts("justified", "Apache-2.0", safetensors=False),
        "facebook/vit-mae": Facts("control", "Apache-2.0"),
        "facebook/vit-mae-huge": Facts("control", "Apache-2.0", safetensors=False),
    },
)
