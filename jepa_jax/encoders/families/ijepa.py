"""I-JEPA (`facebook/ijepa_*`): no CLS token; the embedding is the mean of the patch tokens."""

from jepa_jax.checked_json import checked
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.families import vit
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Epsilon, TransformerFields, Width
from jepa_jax.encoders.vit_config import ViTConfig


class _Fields(TransformerFields):
    intermediate_size: Width = 3072
    layer_norm_eps: Epsilon = 1e-12
    qkv_bias: bool = True


def config(hub: dict) -> ViTConfig:
    """config.json to our configuration; the defaults are those of `transformers`."""
    fields = checked(_Fields, hub)
    return fields.vit(fields.intermediate_size, cls_token=False, qkv_bias=fields.qkv_bias)


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
    parameters=vit.parameters,
    rule=lambda c: EmbeddingRule("mean"),
    ignored=(r"embeddings\.mask_token", r"pooler\..*", r"classifier\..*"),
    prefixes=("", "ijepa."),
    published={
        "facebook/ijepa_vith14_1k": _HUGE | {"patch_size": 14},
        "facebook/ijepa_vith14_22k": _HUGE | {"patch_size": 14},
        "facebook/ijepa_vith16_1k": _HUGE | {"patch_size": 16, "image_size": 448},
        "facebook/ijepa_vitg16_22k": _GIANT | {"patch_size": 16},
    },
    facts={"": Facts("justified", "CC-BY-NC-4.0")},
)
