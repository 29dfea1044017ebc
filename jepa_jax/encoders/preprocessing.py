"""From a PIL image to an encoder's input, by the checkpoint's own image processor."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

# The most pixels an image may be resized to: a 1 x 20000 image whose short edge must become 256
# would have 1.3 thousand million.
MAX_RESIZED = 64_000_000


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """From a PIL image to an encoder's input, by `transformers`' processor with `overrides`."""

    processor: Any
    overrides: dict[str, Any]

    def __call__(self, image: Image.Image, resize: bool) -> Float[np.ndarray, "h w c"]:
        """float32, (height, width, channels); without `resize`, the image has its size already.

        Raises `ValueError` on an image too elongated to be resized.
        """
        image = image if image.mode == "RGB" else image.convert("RGB")
        short_edge = (self.overrides.get("size") or self.processor.size or {}).get("shortest_edge")
        if resize and short_edge:
            low, high = sorted(image.size)
            if short_edge * (short_edge * high / low) > MAX_RESIZED:
                raise ValueError(
                    f"an image of {image.width} x {image.height} pixels is too elongated to be "
                    f"resized to a short edge of {short_edge}"
                )
        settings = self.overrides if resize else {"do_resize": False, "do_center_crop": False}
        values = self.processor(image, return_tensors="np", **settings)["pixel_values"][0]
        return np.ascontiguousarray(np.asarray(values, np.float32).transpose(1, 2, 0))


def load_preprocess(folder: Path, image_size: int | None) -> Preprocess:
    """The preprocessing of a checkpoint folder, at `image_size` pixels if given.

    It runs `transformers`' PIL image processor with the settings of preprocessor_config.json:
    no PyTorch, and the same pixels whatever else is installed. With `image_size`, the crop (or
    the resize, where there is no crop) has that size, and a resize before a crop keeps its ratio
    to it.

    Raises `FileNotFoundError` where the folder has no preprocessor_config.json.
    """
    if not (folder / "preprocessor_config.json").is_file():
        raise FileNotFoundError(
            f"no preprocessor_config.json in {folder}: without it the encoder's input is not "
            "defined (resize, crop, mean and standard deviation)"
        )
    # Imported here: the only part of an encoder that needs it, and slow to import.
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
    return Preprocess(processor, {} if image_size is None else _resized(processor, image_size))


def _resized(processor, image_size: int) -> dict:
    """Settings of `processor` for square inputs of `image_size` pixels."""
    square = {"height": image_size, "width": image_size}
    size = processor.size
    if not getattr(processor, "do_center_crop", None):
        return {"size": square}
    if size is None or size.get("shortest_edge") is None:
        return {"size": square, "crop_size": square}
    ratio = size["shortest_edge"] / processor.crop_size["height"]
    return {"size": {"shortest_edge": round(image_size * ratio)}, "crop_size": square}
