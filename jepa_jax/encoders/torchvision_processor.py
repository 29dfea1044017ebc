"""Preprocessing as torchvision does it, without torchvision.

`transformers` prepares images for DINOv3 by torchvision alone: rescaled to [0, 1], then resized
with an antialiased filter, cropped and normalised, all in float32. Here Pillow resizes each channel
in float32 by the same filter; the result is within 5e-5 of torchvision's
(tests/encoders/test_torchvision_processor.py), where bytes resized by Pillow are 4e-3 away. timm
has Pillow resize the bytes, and so is it here (`as_bytes`); those of videos torchvision resizes.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from jepa_jax.encoders.processor_settings import ProcessorSettings

# What checkpoints of DINOv3 do not say.
_USUAL: dict[str, Any] = {
    "size": {"height": 224, "width": 224},
    "crop_size": None,
    "do_resize": True,
    "resample": int(Image.Resampling.BILINEAR),
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": (0.485, 0.456, 0.406),  # Of ImageNet.
    "image_std": (0.229, 0.224, 0.225),
}


@dataclasses.dataclass(frozen=True)
class TorchvisionProcessor(ProcessorSettings):
    """An image processor by the names of `transformers`, of one PIL image in RGB."""

    as_bytes: bool = False

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "TorchvisionProcessor":
        """By the settings of preprocessor_config.json; what they lack is as for DINOv3."""
        return cls(**cls.arguments(_USUAL | settings))

    @classmethod
    def of_video(cls, settings: dict[str, Any]) -> "TorchvisionProcessor":
        """As V-JEPA 2's video processor prepares a frame, by the settings of
        video_preprocessor_config.json.

        Bytes are resized, to a short edge of 256/224 of the crop, whatever `size` says, as the
        class in `transformers` does. torchvision rounds one of a hundred of them otherwise.
        """
        crop = settings.get("crop_size", 256)
        side = crop["height"] if isinstance(crop, dict) else crop
        own = {
            "size": {"shortest_edge": int(side * 256 / 224)},
            "default_to_square": False,
            "crop_size": crop,
            "as_bytes": True,
        }
        return cls.of({"do_center_crop": True} | settings | own)

    def __call__(self, image: Image.Image, **changes: Any) -> Float[np.ndarray, "h w c"]:
        """Float32, with `changes` of settings."""
        own = dataclasses.replace(self, **changes)
        shape = own.resized_shape(image.size)
        if own.as_bytes and shape != image.size:
            image = image.resize(shape, own.resample)
        channels = [channel.convert("F") for channel in image.split()]
        if shape != image.size:
            channels = [channel.resize(shape, own.resample) for channel in channels]
        values = np.stack([np.asarray(channel, np.float32) for channel in channels])
        if own.do_center_crop:
            assert own.crop_size is not None
            values = _centre(values, own.crop_size["height"], own.crop_size["width"])
        if own.do_rescale:
            values = values * np.float32(own.rescale_factor)
        if own.do_normalize:
            mean, deviation = (
                np.asarray(x, np.float32).reshape(-1, 1, 1) for x in (own.image_mean, own.image_std)
            )
            values = (values - mean) / deviation
        return values.transpose(1, 2, 0)


def _centre(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of the last two axes, with zeros around where they are shorter."""
    for axis, wanted in ((1, height), (2, width)):
        lacking = max(wanted - values.shape[axis], 0)
        around = [(0, 0)] * 3
        around[axis] = (lacking // 2, lacking - lacking // 2)
        values = np.pad(values, around)
        start = round((values.shape[axis] - wanted) / 2)
        values = np.take(values, range(start, start + wanted), axis)
    return values
