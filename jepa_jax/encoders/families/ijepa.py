"""I-JEPA (`facebook/ijepa_*`): no CLS token; the embedding is the mean of the patch tokens."""

from jepa_jax.checked_json import checked
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Family
from jepa_jax.encoders.hub_config import Epsilon, TransformerFields, Width
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit import ViTConfig


class _Fields(TransformerFields):
    intermediate_size: Width = 3072
    layer_norm_eps: Epsilon = 1e-12
    qkv_bias: bool = True


def config(hub: dict) -> ViTConfig:
    """config.json to our configuration; the defaults are those of `transformers`."""
    fields = checked(_Fields, hub)
    return fields.vit(fields.intermediate_size, cls_token=False, qkv_bias=fields.qkv_bias)


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    tokens = (c.image_size // c.patch_size) ** 2
    return stored_tensors.flatten(
        {
            "patch": stored_tensors.patches(
                "embeddings.patch_embeddings.projection", c.patch_size, c.channels, c.width
            ),
            "positions": stored_tensors.batched("embeddings.position_embeddings", tokens, c.width),
            "blocks": {str(i): _block(f"encoder.layer.{i}", c) for i in range(c.depth)},
            "norm": stored_tensors.norm("layernorm", c.width),
        }
    )


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


_HUGE = {
    "hidden_size": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "intermediate_size": 5120,
    "layer_norm_eps": 1e-6,
}
_GIANT = _HUGE | {"hidden_size": 1408, "num_hidden_layers": 40, "intermediate_size": 6144}

FAMILY = Family(
    name="I-JEPA",
    model_types=("ijepa",),
    image_processor="ViTImageProcessor",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("mean"),
    ignored=(r"embeddings\.mask_token", r"pooler\..*", r"classifier\..*"),
    prefixes=("", "ijepa."),
    published={
        "facebook/ijepa_vith14_1k": _HUGE | {"patch_size": 14},
        "facebook/ijepa_vith14_22k": _HUGE | {"patch_size": 14},
        "facebook/ijepa_vith16_1k": _HUGE | {"patch_size": 16, "image_size": 448},
        "facebook/ijepa_vitg16_22k": _GIANT | {"patch_size": 16},
    },
)
