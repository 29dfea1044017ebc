"""From a PIL image to an encoder's input, by the checkpoint's own image processor."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from jepa_jax.encoders.image_processor import load_processor
from jepa_jax.encoders.torchvision_processor import TorchvisionProcessor

# The most pixels an image may be resized to: a 1 x 20000 image whose short edge must become 256
# would have 1.3 thousand million.
MAX_RESIZED = 64_000_000
# Without a crop, an input may have so many times the pixels of a square one: its cost grows faster.
_MOST_SQUARES = 16


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """From a PIL image to an encoder's input, by `transformers`' processor with `overrides`.

    `patch`: where inputs have sizes of their own (no crop), the sides of the patches: what is left
    over at the right and the bottom is cut off, as the models' own patch projections do. `side`:
    there, the usual side of an input. Both 0 where every input has the same size.
    """

    processor: Any
    overrides: dict[str, Any]
    patch: int = 0
    side: int = 0

    def __call__(self, image: Image.Image, resize: bool) -> Float[np.ndarray, "h w c"]:
        """float32, (height, width, channels); without `resize`, the image has its size already.

        Raises `ValueError` on an image too elongated to be resized and, where inputs have sizes of
        their own, on one smaller than a patch or far larger than usual.
        """
        image = image if image.mode == "RGB" else image.convert("RGB")
        if resize:
            self._check_elongated(image)
            small = _resized(image, self.processor, self._size)
            settings = self.overrides | ({} if small is None else {"do_resize": False})
            image = image if small is None else small
            if self.patch:
                self._check_pixels(image)
        else:
            settings = {"do_resize": False, "do_center_crop": False}
        values = self.processor(image, return_tensors="np", **settings)["pixel_values"][0]
        values = np.asarray(values, np.float32).transpose(1, 2, 0)
        if self.patch and resize:
            height, width = (n - n % self.patch for n in values.shape[:2])
            values = values[:height, :width]
        return np.ascontiguousarray(values)

    @property
    def usual_size(self) -> tuple[int, int]:
        """Height and width of an input: of every one, or the usual of those of their own."""
        if self.patch:
            side = self.side - self.side % self.patch
            return side, side
        crop = self.overrides.get("crop_size") or self.processor.crop_size
        size = crop if self.processor.do_center_crop else self._size
        return size["height"], size["width"]

    @property
    def placement(self) -> dict[str, Any]:
        """How an input lies in its image: what a map of its patches is a map of.

        `cut`: "none", the input is the whole image, stretched; "centre", a square of `side` pixels
        of the image resized to `short_edge`; "remainder", the image so resized but for what
        patches of `side` pixels leave over at the right and the bottom; "other".
        """
        size = self._size
        edge = size.get("shortest_edge") or 0
        side = self.patch or self.usual_size[0]
        unusual = not self.processor.do_resize or size.get("longest_edge")
        if self.patch:
            cut = "other" if unusual or not edge else "remainder"
        elif self.processor.do_center_crop:
            height, width = self.usual_size
            cut = "other" if unusual or not edge or height != width else "centre"
        else:
            cut = "other" if unusual else "none"
        return {"cut": cut, "short_edge": edge, "side": side}

    @property
    def _size(self) -> Any:
        return self.overrides.get("size") or self.processor.size or {}

    def _check_elongated(self, image: Image.Image) -> None:
        short_edge = self._size.get("shortest_edge")
        low, high = sorted(image.size)
        if short_edge and short_edge * (short_edge * high / low) > MAX_RESIZED:
            raise ValueError(
                f"an image of {image.width} x {image.height} pixels is too elongated to be "
                f"resized to a short edge of {short_edge}"
            )

    def _check_pixels(self, image: Image.Image) -> None:
        width, height = image.size
        if min(width, height) < self.patch:
            raise ValueError(
                f"an input of {width} x {height} pixels is smaller than a patch of {self.patch}"
            )
        if width * height > _MOST_SQUARES * self.side**2:
            raise ValueError(
                f"an input of {width} x {height} pixels, at most {_MOST_SQUARES} times "
                f"{self.side} x {self.side} expected: the checkpoint's preprocessing crops "
                "nothing; give an image size to have squares"
            )


def load_preprocess(
    folder: Path,
    image_size: int | None,
    patch: int = 1,
    usual: int = 224,
    usual_processor: Any = "",
    video: bool = False,
) -> Preprocess:
    """The preprocessing of a checkpoint folder, at `image_size` pixels if given.

    It runs `transformers`' PIL image processor with the settings of preprocessor_config.json, or of
    the image processor in processor_config.json: no PyTorch, no code of the checkpoint's, and the
    same pixels whatever else is installed. With `image_size`, the crop (or the resize, where there
    is no crop) has that size, and a resize before a crop keeps its ratio to it. Where the settings
    neither crop nor resize to one size, inputs have sizes of their own, multiples of `patch`;
    `usual` is their side where not even a short edge is said. `usual_processor`: the class of the
    processor where the settings name none, or the processor itself where there are none. `video`:
    whether the encoder is of videos, which may have a file of their own.

    Raises `FileNotFoundError` and `ValueError` as `image_processor.load_processor` does.
    """
    processor = usual_processor
    if isinstance(usual_processor, str):
        processor = load_processor(folder, usual_processor, video)
    overrides = {} if image_size is None else _square(processor, image_size)
    size = overrides.get("size") or processor.size or {}
    resized = getattr(processor, "do_resize", None) and size.get("height") and size.get("width")
    if resized or getattr(processor, "do_center_crop", None):
        return Preprocess(processor, overrides)
    return Preprocess(processor, overrides, patch, size.get("shortest_edge") or usual)


def _square(processor: Any, image_size: int) -> dict[str, Any]:
    """Settings of `processor` for square inputs of `image_size` pixels."""
    square = {"height": image_size, "width": image_size}
    size = processor.size
    if not getattr(processor, "do_center_crop", None):
        return {"size": square, "do_resize": True}
    if size is None or size.get("shortest_edge") is None:
        return {"size": square, "crop_size": square}
    ratio = size["shortest_edge"] / processor.crop_size["height"]
    return {"size": {"shortest_edge": round(image_size * ratio)}, "crop_size": square}


def _resized(image: Image.Image, processor: Any, size: Any) -> Image.Image | None:
    """The image as the processor resizes it; None where it resizes in a way of its own, or not.

    The processor makes an array of the whole image, and an image of that again, to resize it by
    Pillow: for 89 million pixels 0.9 GB beside the image. These are the same pixels without them.
    """
    if isinstance(processor, TorchvisionProcessor):
        return None
    from transformers.image_processing_backends import PilBackend
    from transformers.image_transforms import get_resize_output_image_size

    kind = type(processor)
    own = kind.resize is not PilBackend.resize or kind._preprocess is not PilBackend._preprocess
    wanted = {name for name, value in dict(size).items() if value}
    if own or not processor.do_resize or not isinstance(processor.resample, int):
        return None
    if wanted == {"height", "width"}:
        height, width = size["height"], size["width"]
    elif wanted == {"shortest_edge"}:
        pixels = np.broadcast_to(np.uint8(0), (3, image.height, image.width))  # Of no memory.
        height, width = get_resize_output_image_size(
            pixels,
            size["shortest_edge"],
            default_to_square=False,
            input_data_format="channels_first",
        )
    else:
        return None
    return image.resize((width, height), processor.resample)
