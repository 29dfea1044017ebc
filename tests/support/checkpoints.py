"""Small random checkpoints of every family and variant, written by `transformers` itself."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from vjepa2_1_reference import VJEPA21, Shape

COMMON = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZE = {"image_size": 56, "patch_size": 14}
TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 100,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
NORMALIZE = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
}
CROPPED = NORMALIZE | {
    "image_processor_type": "BitImageProcessor",
    "do_center_crop": True,
    "do_convert_rgb": True,
    "size": {"shortest_edge": 64},
    "crop_size": {"height": 56, "width": 56},
}
SQUEEZED = NORMALIZE | {
    "image_processor_type": "ViTImageProcessor",
    "resample": 2,
    "size": {"height": 56, "width": 56},
}
SIGLIP = SQUEEZED | {
    "image_processor_type": "SiglipImageProcessor",
    "resample": 3,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
FLOAT = SQUEEZED | {"image_processor_type": "DINOv3ViTImageProcessorFast"}
# As the first CLIP checkpoints have it: one number for each size, and an old class name.
OLD_CLIP = NORMALIZE | {
    "feature_extractor_type": "CLIPFeatureExtractor",
    "do_center_crop": True,
    "size": 56,
    "crop_size": 56,
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One shape of one family: its model, its embedding, and its image processor."""

    model: Callable[[], torch.nn.Module]
    embedding: Callable
    processor: dict
    interpolates: bool = False
    alike: bool = False  # To another, in all that a score in float32 could tell.
    own_processor: bool = True  # Whether `transformers` prepares its images without torchvision.
    # Resized down, as stored, and resized up, where `transformers` does that.
    sizes: tuple[int, ...] = (28, 56, 84)

    def tower(self, model):
        """The image tower of a model that has more."""
        return getattr(model, "vision_model", model)

    def torch_hidden_states(self, model, pixels):
        extra = {"interpolate_pos_encoding": True} if self.interpolates else {}
        if isinstance(model, hf.ViTMAEModel):
            extra["noise"] = in_order(pixels)
        return self.tower(model)(pixel_values=pixels, output_hidden_states=True, **extra)


def _dinov2(**settings):
    return hf.Dinov2Model(hf.Dinov2Config(**COMMON, **SIZE, **settings))


def _registers(**settings):
    return hf.Dinov2WithRegistersModel(
        hf.Dinov2WithRegistersConfig(**COMMON, **SIZE, num_register_tokens=3, **settings)
    )


def _ijepa(**settings):
    config = hf.IJepaConfig(
        **COMMON, **SIZE, intermediate_size=100, layer_norm_eps=1e-6, **settings
    )
    return hf.IJepaModel(config)


def _clip_tower(act, model=hf.CLIPVisionModelWithProjection):
    config = hf.CLIPVisionConfig(
        **COMMON, **SIZE, intermediate_size=96, projection_dim=20, hidden_act=act
    )
    return model(config)


def _clip():
    vision = COMMON | SIZE | {"intermediate_size": 96, "hidden_act": "quick_gelu"}
    config = hf.CLIPConfig(vision_config=vision, text_config=TEXT, projection_dim=20)
    return hf.CLIPModel(config)


def _vit(model=hf.ViTModel, config=hf.ViTConfig, **settings):
    return model(config(**COMMON, **SIZE, intermediate_size=100, layer_norm_eps=1e-6, **settings))


def _dinov3(**settings):
    shape = {"intermediate_size": 96, "num_register_tokens": 3}
    return hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**COMMON, **SIZE, **shape, **settings))


def _metaclip2(projection):
    vision = COMMON | SIZE | {"intermediate_size": 96, "hidden_act": "gelu"}
    config = hf.MetaClip2Config(
        vision_config=vision,
        text_config=TEXT | {"eos_token_id": 2},
        projection_dim=projection,
    )
    return hf.MetaClip2Model(config)


def _siglip(**settings):
    config = hf.SiglipVisionConfig(**COMMON, **SIZE, intermediate_size=100, **settings)
    return hf.SiglipVisionModel(config)


def _aimv2(**settings):
    config = hf.Aimv2VisionConfig(**COMMON, **SIZE, intermediate_size=100, **settings)
    model = hf.Aimv2VisionModel(config)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child).__name__ == "Aimv2RMSNorm":  # Which rounds float64 to float32.
                own = torch.nn.RMSNorm(config.hidden_size, child.variance_epsilon)
                setattr(module, name, own)
    return model


def _vjepa2_1(**settings):
    return VJEPA21(Shape(**COMMON, crop_size=56, patch_size=14, **settings))


def in_order(pixels):
    """The noise by which a masked autoencoder leaves its patches in their order."""
    patches = (pixels.shape[-1] // SIZE["patch_size"]) ** 2
    return torch.arange(patches, dtype=pixels.dtype).expand(len(pixels), -1)


def _mae_cls(model, pixels):
    return model(pixel_values=pixels, noise=in_order(pixels)).last_hidden_state[:, 0]


def _projected(model, pixels):
    return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)


def _cls(model, pixels):
    return model(pixel_values=pixels).last_hidden_state[:, 0]


def _patch_mean(model, pixels):
    return model(pixel_values=pixels).last_hidden_state.mean(1)


VARIANTS: dict[str, Variant] = {
    "dinov2": Variant(_dinov2, _cls, CROPPED),
    "dinov2-swiglu": Variant(lambda: _dinov2(use_swiglu_ffn=True), _cls, CROPPED),
    "dinov2-no-qkv-bias": Variant(lambda: _dinov2(qkv_bias=False), _cls, CROPPED),
    "dinov2-registers": Variant(_registers, _cls, CROPPED),
    "dinov2-registers-swiglu": Variant(lambda: _registers(use_swiglu_ffn=True), _cls, CROPPED),
    "ijepa": Variant(_ijepa, _patch_mean, SQUEEZED, True),
    "clip-tower-quick-gelu": Variant(
        lambda: _clip_tower("quick_gelu"),
        lambda m, p: m(pixel_values=p).image_embeds,
        OLD_CLIP,
        True,
    ),
    "clip-tower-gelu": Variant(
        lambda: _clip_tower("gelu"), lambda m, p: m(pixel_values=p).image_embeds, OLD_CLIP, True
    ),
    "clip-tower-no-projection": Variant(
        lambda: _clip_tower("quick_gelu", hf.CLIPVisionModel),
        lambda m, p: m(pixel_values=p).pooler_output,
        OLD_CLIP,
        True,
    ),
    "clip": Variant(_clip, _projected, OLD_CLIP, True),
    # As many coordinates as the width, and one less: two null directions, and one.
    "metaclip2": Variant(lambda: _metaclip2(48), _projected, OLD_CLIP, True),
    "metaclip2-one-less": Variant(lambda: _metaclip2(47), _projected, OLD_CLIP, True, True),
    "siglip": Variant(_siglip, lambda m, p: m(pixel_values=p).pooler_output, SIGLIP, True),
    "siglip-no-head": Variant(
        lambda: _siglip(vision_use_head=False), _patch_mean, SIGLIP, True, True
    ),
    "aimv2": Variant(
        lambda: _aimv2(is_native=True, qkv_bias=True, mlp_bias=True),
        lambda m, p: m(pixel_values=p).pooler_output,
        OLD_CLIP,
    ),
    "aimv2-no-head": Variant(
        lambda: _aimv2(use_head=False), _patch_mean, OLD_CLIP, alike=True, sizes=(56,)
    ),
    "vit": Variant(_vit, _cls, SQUEEZED, True, True),
    "vit-mae": Variant(
        lambda: _vit(hf.ViTMAEModel, hf.ViTMAEConfig, mask_ratio=0.0),
        _mae_cls,
        SQUEEZED,
        True,
        True,
    ),
    "dinov3": Variant(_dinov3, _cls, FLOAT, own_processor=False),
    "dinov3-gated": Variant(
        lambda: _dinov3(use_gated_mlp=True, hidden_act="silu", query_bias=False, value_bias=False),
        _cls,
        FLOAT,
        alike=True,
        own_processor=False,
    ),
    "vjepa2.1": Variant(_vjepa2_1, _patch_mean, FLOAT, alike=True, own_processor=False),
}


def randomized(variant: Variant) -> torch.nn.Module:
    """The variant's model, every parameter moved: a fresh model's norms and biases are trivial."""
    torch.manual_seed(0)
    model = variant.model().eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def write(model: torch.nn.Module, processor: dict, folder: Path, **settings) -> Path:
    """A checkpoint folder of the model, as `transformers` and the hub have it."""
    model.save_pretrained(folder, **settings)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def pixels(size: int, count: int = 1, dtype=np.float32) -> np.ndarray:
    """Preprocessed random images, (count, size, size, 3)."""
    return np.random.default_rng(size).standard_normal((count, size, size, 3)).astype(dtype)


def to_torch(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
