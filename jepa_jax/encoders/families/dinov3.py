"""DINOv3 vision transformers (`facebook/dinov3-vit*`): rotary positions, registers, no key bias.

Embedding: the CLS token after the final LayerNorm. Shift, jitter and rescaling of positions act in
training only.
"""

from typing import Literal

from jepa_jax.checked_json import checked
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Base, CountOrNone, Epsilon, TransformerFields, Width
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit_config import ViTConfig


class _Fields(TransformerFields):
    hidden_size: Width = 384
    num_attention_heads: Width = 6
    intermediate_size: Width = 1536
    layer_norm_eps: Epsilon = 1e-5
    num_register_tokens: CountOrNone = 0
    rope_theta: Base = 100.0
    use_gated_mlp: bool = False
    query_bias: bool = True
    key_bias: bool = False
    value_bias: bool = True
    proj_bias: Literal[True] = True
    mlp_bias: Literal[True] = True


def config(hub: dict) -> ViTConfig:
    """config.json to our configuration; the defaults are those of `transformers`."""
    fields = checked(_Fields, hub)
    return fields.vit(
        fields.intermediate_size,
        gated_mlp=fields.use_gated_mlp,
        registers=fields.num_register_tokens,
        layer_scale=True,
        qkv_bias=(fields.query_bias, fields.key_bias, fields.value_bias),
        rotary=fields.rope_theta,
    )


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    tree = {
        "patch": stored_tensors.patches(
            "embeddings.patch_embeddings", c.patch_size, c.channels, c.width
        ),
        "cls": stored_tensors.batched("embeddings.cls_token", c.width),
        "blocks": {str(i): _block(f"layer.{i}", c) for i in range(c.depth)},
        "norm": stored_tensors.norm("norm", c.width),
    }
    if c.registers:
        tree["registers"] = stored_tensors.batched(
            "embeddings.register_tokens", c.registers, c.width
        )
    return stored_tensors.flatten(tree)


def _block(name: str, c: ViTConfig) -> dict:
    qkv = [f"{name}.attention.{part}_proj" for part in "qkv"]
    fc1 = [f"{name}.mlp.gate_proj"] if c.gated_mlp else []
    return {
        "norm1": stored_tensors.norm(f"{name}.norm1", c.width),
        "attention": {
            "qkv": stored_tensors.joined(qkv, c.width, c.width, c.qkv_bias),
            "out": stored_tensors.linear(f"{name}.attention.o_proj", c.width, c.width),
        },
        "scale1": Stored({f"{name}.layer_scale1.lambda1": (c.width,)}),
        "norm2": stored_tensors.norm(f"{name}.norm2", c.width),
        "mlp": {
            "fc1": stored_tensors.joined([*fc1, f"{name}.mlp.up_proj"], c.width, c.mlp_width),
            "fc2": stored_tensors.linear(f"{name}.mlp.down_proj", c.mlp_width, c.width),
        },
        "scale2": Stored({f"{name}.layer_scale2.lambda1": (c.width,)}),
    }


def _published(width: int, depth: int, heads: int, mlp: int, **more) -> dict:
    sizes = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}
    return sizes | {"intermediate_size": mlp, "num_register_tokens": 4} | more


_GATED = {"use_gated_mlp": True, "hidden_act": "silu"}
_LARGE = _published(1024, 24, 16, 4096)
_7B = _published(4096, 40, 32, 8192, **_GATED, query_bias=False, value_bias=False)

FAMILY = Family(
    name="DINOv3",
    model_types=("dinov3_vit",),
    image_processor="DINOv3ViTImageProcessor",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("cls"),
    ignored=(r"embeddings\.mask_token",),
    prefixes=("",),
    published={
        "facebook/dinov3-vits16-pretrain-lvd1689m": _published(384, 12, 6, 1536),
        "facebook/dinov3-vits16plus-pretrain-lvd1689m": _published(384, 12, 6, 1536, **_GATED),
        "facebook/dinov3-vitb16-pretrain-lvd1689m": _published(768, 12, 12, 3072),
        "facebook/dinov3-vitl16-pretrain-lvd1689m": _LARGE,
        "facebook/dinov3-vitl16-pretrain-sat493m": _LARGE,
        "facebook/dinov3-vith16plus-pretrain-lvd1689m": _published(1280, 32, 20, 5120, **_GATED),
        "facebook/dinov3-vit7b16-pretrain-lvd1689m": _7B,
        "facebook/dinov3-vit7b16-pretrain-sat493m": _7B,
    },
    facts={"": Facts("justified", "DINOv3 License", gated=True)},
)
