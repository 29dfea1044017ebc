"""V-JEPA 2 (`facebook/vjepa2-*`): video encoders, of still images and of clips.

No CLS token; the embedding is the mean of the patch tokens after the final LayerNorm. A tubelet (2
frames of a patch) is one token. A still image is one frame repeated to a tubelet: an image encoder
whose patch projection is the tubelet's, summed over time. The predictor is not read.
"""

import dataclasses
from typing import Annotated, Any

from pydantic import BeforeValidator

from jepa_jax.checked_json import Fields, checked, whole
from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Activation, Channels, Count, Epsilon, Ratio, Side, Width
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.torchvision_processor import TorchvisionProcessor
from jepa_jax.encoders.vit_config import ViTConfig


class VideoFields(Fields):
    """The shape as `transformers` names it, with its defaults for V-JEPA 2."""

    patch_size: Side = 16
    crop_size: Side = 256
    tubelet_size: Annotated[int, whole(1, 64)] = 2
    hidden_size: Width = 1024
    in_chans: Channels = 3
    num_attention_heads: Width = 16
    num_hidden_layers: Count = 24
    mlp_ratio: Annotated[Ratio, BeforeValidator(lambda n: float(n) if type(n) is int else n)] = 4.0
    layer_norm_eps: Epsilon = 1e-6
    qkv_bias: bool = True
    hidden_act: Activation = "gelu"

    def arguments(self, frames: int | None) -> dict[str, Any]:
        """Those of a `ViTConfig`, for still images or for clips of so many frames.

        `ValueError` where the frames are no whole tubelets.
        """
        tubelet = 1 if frames is None else self.tubelet_size
        if frames is not None and (frames < 1 or frames % tubelet):
            raise ValueError(
                f"`frames` must be a multiple of {tubelet}, the frames of a tubelet, got {frames}"
            )
        return {
            "image_size": self.crop_size,
            "patch_size": self.patch_size,
            "width": self.hidden_size,
            "depth": self.num_hidden_layers,
            "heads": self.num_attention_heads,
            "mlp_width": int(self.hidden_size * self.mlp_ratio),
            "channels": tubelet * self.in_chans,
            "frames": frames,
            "activation": self.hidden_act,
            "layer_norm_eps": self.layer_norm_eps,
            "cls_token": False,
            "qkv_bias": self.qkv_bias,
            "rotary": 10_000.0,
            "rotary_in_time": True,
        }


@dataclasses.dataclass(frozen=True)
class _Config(ViTConfig):
    """Beside the shape, the frames of a tubelet as it is stored."""

    stored_tubelet: int = 2


def config(hub: dict) -> ViTConfig:
    """config.json to our configuration for still images; the defaults are `transformers`'."""
    return _config(hub, None)


def clips(hub: dict, frames: int) -> ViTConfig:
    """The same for clips of so many frames; `ValueError` where they are no whole tubelets."""
    return _config(hub, frames)


def _config(hub: dict, frames: int | None) -> ViTConfig:
    fields = checked(VideoFields, hub)
    return _Config(**fields.arguments(frames), stored_tubelet=fields.tubelet_size)


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    assert isinstance(c, _Config)
    return stored_tensors.flatten(
        {
            "patch": _patches("encoder.embeddings.patch_embeddings.proj", c),
            "blocks": {str(i): block(f"encoder.layer.{i}", c) for i in range(c.depth)},
            "norm": stored_tensors.norm("encoder.layernorm", c.width),
        }
    )


def _patches(name: str, c: _Config) -> dict[str, Stored]:
    """The projection of tubelets: as it is, or, for still images, summed over time."""
    t = c.stored_tubelet
    kernel = tubelets(name, c, t)
    if c.frames is None:
        of_one = tubelets(name, c, 1)
        kernel = Stored(
            kernel.shapes,
            lambda x: of_one.assemble(x.sum(2, keepdims=True)),
            lambda x: [part.repeat(t, axis=2) / t for part in of_one.disassemble(x)],
        )
    return {"kernel": kernel, "bias": Stored({f"{name}.bias": (c.width,)})}


def tubelets(name: str, c: ViTConfig, t: int) -> Stored:
    """Our kernel of a `Conv3d` of t frames, stored as (width, channels, t, p, p)."""
    p, w = c.patch_size, c.width
    channels = c.channels if c.frames is None else c.channels // t
    return Stored(
        {f"{name}.weight": (w, channels, t, p, p)},
        # Of a pixel, frame by frame.
        lambda x: x.transpose(3, 4, 2, 1, 0).reshape(-1, w),
        lambda x: [x.reshape(p, p, t, channels, w).transpose(4, 3, 2, 0, 1)],
    )


def block(name: str, c: ViTConfig) -> dict:
    """A block's parameters, under the names of `transformers`."""
    qkv = [f"{name}.attention.{part}" for part in ("query", "key", "value")]
    return {
        "norm1": stored_tensors.norm(f"{name}.norm1", c.width),
        "attention": {
            "qkv": stored_tensors.joined(qkv, c.width, c.width, c.qkv_bias),
            "out": stored_tensors.linear(f"{name}.attention.proj", c.width, c.width),
        },
        "norm2": stored_tensors.norm(f"{name}.norm2", c.width),
        "mlp": {
            "fc1": stored_tensors.linear(f"{name}.mlp.fc1", c.width, c.mlp_width),
            "fc2": stored_tensors.linear(f"{name}.mlp.fc2", c.mlp_width, c.width),
        },
    }


def processor(hub: dict) -> TorchvisionProcessor:
    """As its video processor prepares a frame, where no file says how."""
    return TorchvisionProcessor.of_video({"crop_size": checked(VideoFields, hub).crop_size})


_HUGE = {"hidden_size": 1280, "num_hidden_layers": 32}
_GIANT = {
    "hidden_size": 1408,
    "num_hidden_layers": 40,
    "num_attention_heads": 22,
    "mlp_ratio": 48 / 11,
}

FAMILY = Family(
    name="V-JEPA 2",
    model_types=("vjepa2",),
    image_processor="",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("mean"),
    ignored=(r"predictor\..*", r"pooler\..*", r"classifier\..*"),
    prefixes=("", "vjepa2."),
    published={
        "facebook/vjepa2-vitl-fpc64-256": {},
        "facebook/vjepa2-vith-fpc64-256": _HUGE,
        "facebook/vjepa2-vitg-fpc64-256": _GIANT,
        "facebook/vjepa2-vitg-fpc64-384": _GIANT | {"crop_size": 384},
    },
    facts={"": Facts("justified", "MIT or Apache-2.0")},
    processor=processor,
    clips=clips,
)
