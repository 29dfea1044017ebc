"""V-JEPA 2.1 (arXiv 2603.14482): video encoders with a patch projection of its own for images.

Embedding: the mean of the patch tokens after the last of four norms; the others are of depths whose
outputs were trained as well. An image has one projection and one vector added to every patch, a
clip (of tubelets) others. Rotary positions are rotations; rows and columns are spread over those of
256 pixels.

Published as pickles, which transformers (5.24) has no class for. How all this is known: it was read
in Meta's code (facebookresearch/vjepa2 at 204698b: app/vjepa_2_1/, src/hub/backbones.py), which
`python -m benchmarks.vjepa2_1` compares with ours on random weights; that the published files have
these tensors, in jepa.cpp's notes of converting that of ViT-B. The published weights were not here.

Tensors are named in three ways, by config.json's `model_type`: `vjepa2_1`, as in Meta's files;
`vjepa21`, as conversions with code of their own have them; `vjepa2` with `use_rope_interleave`, as
transformers' pull request 45497 does. The second and third were read in programs that load them.
"""

import dataclasses
from typing import Annotated, Literal

from pydantic import Field

from jepa_jax.checked_json import checked, whole
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.families import vjepa2
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Side
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.torchvision_processor import TorchvisionProcessor
from jepa_jax.encoders.vit_config import ViTConfig

_PRETRAINED = 256  # Pixels a side, whose grid all others are spread over.


class _Fields(vjepa2.VideoFields):
    crop_size: Side = 384
    interpolate_rope: Annotated[
        Literal[True], Field(description="true: it is what V-JEPA 2.1 was trained with")
    ] = True
    # Of pull request 45497: the norms that are stored, of which the last is the encoder's.
    num_distillation_outputs: Annotated[int, whole(1, 4)] = 1


@dataclasses.dataclass(frozen=True)
class _Config(ViTConfig):
    """Beside the shape, how tensors are named: as Meta does, or else as transformers would."""

    own_names: bool = True
    last_norm: str = "norms_block.3"


def config(hub: dict) -> ViTConfig:
    """config.json to our configuration for still images; the defaults are those of ViT-L."""
    return _config(hub, None)


def clips(hub: dict, frames: int) -> ViTConfig:
    """The same for clips of so many frames; `ValueError` where they are no whole tubelets."""
    return _config(hub, frames)


def _config(hub: dict, frames: int | None) -> ViTConfig:
    fields = checked(_Fields, hub)
    norms = {
        "vjepa2_1": "norms_block.3",
        "vjepa21": "encoder.norms_block.3",
        "vjepa2": f"encoder.distillation_norms.{fields.num_distillation_outputs - 1}",
    }
    return _Config(
        **fields.arguments(frames),
        rotary_grid=_PRETRAINED // fields.patch_size,
        own_names=hub["model_type"] == "vjepa2_1",
        last_norm=norms[hub["model_type"]],
    )


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    assert isinstance(c, _Config)
    return stored_tensors.flatten(
        {
            "patch": _patches(c),
            "blocks": {str(i): _block(i, c) for i in range(c.depth)},
            "norm": stored_tensors.norm(c.last_norm, c.width),
        }
    )


def _patches(c: _Config) -> dict[str, Stored]:
    """The projection of images or of tubelets; what is added to each patch is in its bias."""
    still, w = c.frames is None, c.width
    within = "" if c.own_names else "encoder.embeddings."
    name = within + ("patch_embed" if c.own_names else "patch_embeddings") + "_img" * still
    added = f"{within}{'img' if still else 'video'}_mod_embed"
    bias = Stored(
        {f"{name}.proj.bias": (w,), added: (1, 1, w)},
        lambda bias, added: bias + added.reshape(w),
        lambda x: [x, 0 * x.reshape(1, 1, w)],
    )
    t = 1 if still else c.channels // 3
    return {"kernel": vjepa2.tubelets(f"{name}.proj", c, t), "bias": bias}


def _block(i: int, c: _Config) -> dict:
    if not c.own_names:
        return vjepa2.block(f"encoder.layer.{i}", c)
    name, w = f"blocks.{i}", c.width
    qkv = stored_tensors.linear(f"{name}.attn.qkv", w, 3 * w, c.any_qkv_bias)
    out = stored_tensors.linear(f"{name}.attn.proj", w, w)
    return vjepa2.block(name, c) | {"attention": {"qkv": qkv, "out": out}}


def processor(hub: dict) -> TorchvisionProcessor:
    """As V-JEPA 2's video processor prepares a frame, where no file says how."""
    return TorchvisionProcessor.of_video({"crop_size": checked(_Fields, hub).crop_size})


def _published(width: int, depth: int, mlp: float = 4.0) -> dict:
    shape = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": width // 64}
    return shape | {"mlp_ratio": mlp}


FAMILY = Family(
    name="V-JEPA 2.1",
    model_types=("vjepa2_1", "vjepa21"),
    image_processor="",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("mean"),
    # Of images where clips are encoded and the reverse, and the norms of depths before the last.
    ignored=(
        r"(encoder\.embeddings\.)?patch_embed(dings)?(_img)?\.proj\.(weight|bias)",
        r"(encoder\.embeddings\.)?(img|video)_mod_embed",
        r"(encoder\.)?(norms_block|distillation_norms)\.[012]\.(weight|bias)",
        *vjepa2.FAMILY.ignored,
    ),
    prefixes=("", "backbone.", "vjepa2."),
    published={
        "vjepa2_1_vitb_dist_vitG_384.pt": _published(768, 12),
        "vjepa2_1_vitl_dist_vitG_384.pt": _published(1024, 24),
        "vjepa2_1_vitg_384.pt": _published(1408, 40, 48 / 11),
        "vjepa2_1_vitG_384.pt": _published(1664, 48, 64 / 13),
    },
    facts={"": Facts("justified", "MIT", safetensors=False)},
    processor=processor,
    clips=clips,
    conversion=(
        "`safetensors.torch.save_file(torch.load(FILE, map_location='cpu', "
        "weights_only=True)[KEY], "
        "'FOLDER/model.safetensors')`, with KEY 'ema_encoder' for ViT-B and ViT-L and "
        "'target_encoder' for ViT-g and ViT-G"
    ),
)
