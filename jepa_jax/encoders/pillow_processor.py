"""Preprocessing as `transformers` does it with Pillow and NumPy, to the bit, without importing it.

That import takes a second, and ten with PyTorch's where PyTorch is installed, in every process that
loads an encoder. Nothing here makes an array of the image before it is resized.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from jepa_jax.encoders.processor_settings import ProcessorSettings

_OPENAI = {
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
_HALF = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
_CROPPED = {
    "size": {"shortest_edge": 224},
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "default_to_square": False,
    **_OPENAI,
}
_ALWAYS = {
    "crop_size": None,
    "do_resize": True,
    "resample": int(Image.Resampling.BICUBIC),
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "default_to_square": True,
}
# What each class of `transformers` takes where a checkpoint says nothing.
CLASSES: dict[str, dict[str, Any]] = {
    "BitImageProcessor": _CROPPED,
    "BlipImageProcessor": {"size": {"height": 384, "width": 384}, **_OPENAI},
    "CLIPImageProcessor": _CROPPED,
    "ChineseCLIPImageProcessor": _CROPPED,
    "DeiTImageProcessor": {
        "size": {"height": 256, "width": 256},
        "crop_size": {"height": 224, "width": 224},
        "do_center_crop": True,
        **_HALF,
    },
    "SiglipImageProcessor": {
        "size": {"height": 224, "width": 224},
        "default_to_square": False,
        **_HALF,
    },
    "ViTImageProcessor": {
        "size": {"height": 224, "width": 224},
        "resample": int(Image.Resampling.BILINEAR),
        **_HALF,
    },
}


class PillowProcessor(ProcessorSettings):
    """An image processor of `transformers`, of one PIL image in RGB."""

    @classmethod
    def of(cls, name: str, settings: dict[str, Any]) -> "PillowProcessor":
        """That of this class, by the settings of preprocessor_config.json."""
        return cls(**cls.arguments(_ALWAYS | CLASSES[name] | settings))

    def __call__(self, image: Image.Image, **changes: Any) -> Shaped[np.ndarray, "h w c"]:
        """Float32, or bytes where they are neither rescaled nor normalised; with `changes` of
        settings."""
        own = dataclasses.replace(self, **changes)
        if own.do_resize:
            image = image.resize(own.resized_shape(image.size), own.resample)
        values = np.asarray(image)
        if own.do_center_crop:
            assert own.crop_size is not None
            for axis, side in enumerate(("height", "width")):
                values = _centre(values, axis, own.crop_size[side])
        if own.do_rescale:
            values = (values.astype(np.float64) * own.rescale_factor).astype(np.float32)
        if own.do_normalize:
            values = values.astype(np.float32, copy=False)
            mean, deviation = (np.asarray(x, np.float32) for x in (own.image_mean, own.image_std))
            values = (values - mean) / deviation
        return values


def _centre(values: np.ndarray, axis: int, wanted: int) -> np.ndarray:
    """The middle of an axis, with zeros around where it is shorter."""
    lacking = wanted - values.shape[axis]
    if lacking > 0:
        around = [(0, 0)] * values.ndim
        around[axis] = (lacking - lacking // 2, lacking // 2)
        return np.pad(values, around)
    start = -lacking // 2
    return np.take(values, range(start, start + wanted), axis)
