"""DINOv2, with and without registers (`facebook/dinov2-*`, `facebook/dinov2-with-registers-*`).

Embedding: the CLS token after the final LayerNorm.
"""

from jepa_jax.checked_json import checked
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import CountOrNone, Ratio, Side, TransformerFields
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit_config import ViTConfig


class _Fields(TransformerFields):
    patch_size: Side = 14
    mlp_ratio: Ratio = 4
    use_swiglu_ffn: bool = False
    qkv_bias: bool = True


class _WithRegisters(_Fields):
    patch_size: Side = 16
    num_register_tokens: CountOrNone = 4


def config(hub: dict) -> ViTConfig:
    """config.json to our configuration; the defaults are those of `transformers`."""
    registers = hub["model_type"] == "dinov2_with_registers"
    fields = checked(_WithRegisters if registers else _Fields, hub)
    mlp_width = int(fields.hidden_size * fields.mlp_ratio)
    if fields.use_swiglu_ffn:
        # Two thirds of the MLP's width, rounded up to a multiple of 8.
        mlp_width = (int(mlp_width * 2 / 3) + 7) // 8 * 8
    # The gate is a SiLU, whatever `hidden_act` says.
    gate = {"activation": "silu"} if fields.use_swiglu_ffn else {}
    return fields.vit(
        mlp_width,
        **gate,
        gated_mlp=fields.use_swiglu_ffn,
        registers=fields.num_register_tokens if isinstance(fields, _WithRegisters) else 0,
        layer_scale=True,
        qkv_bias=fields.qkv_bias,
        antialias_positions=registers,
    )


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    tokens = 1 + (c.image_size // c.patch_size) ** 2
    tree = {
        "patch": stored_tensors.patches(
            "embeddings.patch_embeddings.projection", c.patch_size, c.channels, c.width
        ),
        "cls": stored_tensors.batched("embeddings.cls_token", c.width),
        "positions": stored_tensors.batched("embeddings.position_embeddings", tokens, c.width),
        "blocks": {str(i): _block(f"encoder.layer.{i}", c) for i in range(c.depth)},
        "norm": stored_tensors.norm("layernorm", c.width),
    }
    if c.registers:
        tree["registers"] = stored_tensors.batched(
            "embeddings.register_tokens", c.registers, c.width
        )
    return stored_tensors.flatten(tree)


def _block(name: str, c: ViTConfig) -> dict:
    qkv = [f"{name}.attention.attention.{part}" for part in ("query", "key", "value")]
    fc1, fc2 = ("weights_in", "weights_out") if c.gated_mlp else ("fc1", "fc2")
    hidden = c.mlp_width * (2 if c.gated_mlp else 1)
    return {
        "norm1": stored_tensors.norm(f"{name}.norm1", c.width),
        "attention": {
            "qkv": stored_tensors.joined(qkv, c.width, c.width, c.qkv_bias),
            "out": stored_tensors.linear(f"{name}.attention.output.dense", c.width, c.width),
        },
        "scale1": Stored({f"{name}.layer_scale1.lambda1": (c.width,)}),
        "norm2": stored_tensors.norm(f"{name}.norm2", c.width),
        "mlp": {
            "fc1": stored_tensors.linear(f"{name}.mlp.{fc1}", c.width, hidden),
            "fc2": stored_tensors.linear(f"{name}.mlp.{fc2}", c.mlp_width, c.width),
        },
        "scale2": Stored({f"{name}.layer_scale2.lambda1": (c.width,)}),
    }


_SIZES = {
    "small": {"hidden_size": 384, "num_attention_heads": 6},
    "base": {},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
    "giant": {
        "hidden_size": 1536,
        "num_hidden_layers": 40,
        "num_attention_heads": 24,
        "use_swiglu_ffn": True,
    },
}
_PUBLISHED = {"image_size": 518, "patch_size": 14}

FAMILY = Family(
    name="DINOv2",
    model_types=("dinov2", "dinov2_with_registers"),
    image_processor="BitImageProcessor",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("cls"),
    # The mask token serves the pretraining only; a classifier is not part of the encoder.
    ignored=(r"embeddings\.mask_token", r"classifier\..*"),
    prefixes=("", "dinov2.", "dinov2_with_registers."),
    published={
        f"facebook/dinov2-{infix}{size}": {"model_type": model_type} | _PUBLISHED | shape
        for infix, model_type in (("", "dinov2"), ("with-registers-", "dinov2_with_registers"))
        for size, shape in _SIZES.items()
    },
    facts={"": Facts("justified", "Apache-2.0")},
)
