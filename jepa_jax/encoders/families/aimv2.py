"""AIMv2's image towers (`apple/aimv2-*`): RMSNorms, gated MLPs, no CLS token.

Embedding: the output of the attention-pooling head, where there is one (`-lit`); else the mean of
the patch tokens. Positions are learned, or computed for any grid (`-native`).
"""

from jepa_jax.checked_json import Fields, checked
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Activation, Count, Epsilon, Side, TransformerFields, Width
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit_config import ViTConfig


class _Tower(TransformerFields):
    patch_size: Side = 14
    hidden_size: Width = 1024
    intermediate_size: Width = 2816
    num_hidden_layers: Count = 24
    num_attention_heads: Width = 8
    hidden_act: Activation = "silu"
    rms_norm_eps: Epsilon = 1e-5
    qkv_bias: bool = False
    mlp_bias: bool = False
    use_head: bool = True
    is_native: bool = False


class _Whole(Fields):
    vision_config: _Tower | None = None


def config(hub: dict) -> ViTConfig:
    """config.json of the whole model or of its image tower alone, to our configuration."""
    whole = hub["model_type"] == "aimv2"
    tower = checked(_Whole, hub).vision_config or _Tower() if whole else checked(_Tower, hub)
    return tower.vit(
        tower.intermediate_size,
        layer_norm_eps=tower.rms_norm_eps,
        rms_norm=True,
        gated_mlp=True,
        qkv_bias=tower.qkv_bias,
        out_bias=tower.qkv_bias,
        mlp_bias=tower.mlp_bias,
        patch_norm=True,
        cls_token=False,
        sincos_positions=tower.is_native,
        attention_pool=tower.use_head,
        plain_pool=tower.use_head,
    )


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    tokens, w = (c.image_size // c.patch_size) ** 2, c.width
    tree = {
        "patch": stored_tensors.patches("embeddings.patch_embed", c.patch_size, c.channels, w),
        "patch_norm": _norm("embeddings.rms_norm", c),
        "blocks": {str(i): _block(f"encoder.layers.{i}", c) for i in range(c.depth)},
        "norm": _norm("rms_norm", c),
    }
    if not c.sincos_positions:
        tree["positions"] = Stored({"embeddings.position_embedding.weight": (tokens, w)})
    if c.attention_pool:
        keys = [f"head.{part}_proj" for part in "kv"]
        tree["pool"] = {
            "query": stored_tensors.batched("head.cls_token", w),
            "qkv": stored_tensors.joined(keys, w, w, c.qkv_bias),
            "out": stored_tensors.linear("head.output_proj", w, w),
        }
    return stored_tensors.flatten(tree)


def _norm(name: str, c: ViTConfig) -> dict[str, Stored]:
    return {"scale": Stored({f"{name}.weight": (c.width,)})}


def _block(name: str, c: ViTConfig) -> dict:
    qkv = [f"{name}.attention.{part}_proj" for part in "qkv"]
    fc1 = [f"{name}.ffn.{part}_proj" for part in ("gate", "up")]
    out, fc2 = f"{name}.attention.out_proj", f"{name}.ffn.down_proj"
    return {
        "norm1": _norm(f"{name}.rms_norm1", c),
        "attention": {
            "qkv": stored_tensors.joined(qkv, c.width, c.width, c.qkv_bias),
            "out": stored_tensors.linear(out, c.width, c.width, c.out_bias),
        },
        "norm2": _norm(f"{name}.rms_norm2", c),
        "mlp": {
            "fc1": stored_tensors.joined(fc1, c.width, c.mlp_width, c.mlp_bias),
            "fc2": stored_tensors.linear(fc2, c.mlp_width, c.width, c.mlp_bias),
        },
    }


_LARGE = {"model_type": "aimv2_vision_model", "use_head": False}
_HUGE = _LARGE | {"hidden_size": 1536, "intermediate_size": 4096, "num_attention_heads": 12}

FAMILY = Family(
    name="AIMv2",
    model_types=("aimv2", "aimv2_vision_model"),
    image_processor="CLIPImageProcessor",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("pooled" if c.attention_pool else "mean"),
    ignored=(r"(text_model|visual_projection|text_projection)\..*", r"logit_scale"),
    prefixes=("", "vision_model."),
    published={
        "apple/aimv2-large-patch14-224": _LARGE,
        "apple/aimv2-large-patch14-native": _LARGE | {"is_native": True},
        "apple/aimv2-large-patch14-224-lit": {"model_type": "aimv2"},
        "apple/aimv2-huge-patch14-224": _HUGE,
    },
    facts={"": Facts("control", "Apple, research only")},
)
