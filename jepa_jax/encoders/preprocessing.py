"""From a PIL image to an encoder's input, by the checkpoint's own image processor."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from jepa_jax.encoders.image_processor import Processor, load_processor

# The most pixels an image may be resized to: a 1 x 20000 image whose short edge must become 256
# would have 1.3 thousand million.
MAX_RESIZED = 64_000_000
# Without a crop, an input may have so many times the pixels of a square one: its cost grows faster.
_MOST_SQUARES = 16


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """From a PIL image to an encoder's input, by a processor with `overrides` of its settings.

    `patch`: where inputs have sizes of their own (no crop), the sides of the patches: what is left
    over at the right and the bottom is cut off, as the models' own patch projections do. `side`:
    there, the usual side of an input. Both 0 where every input has the same size.
    """

    processor: Processor
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
            settings = self.overrides
            if self.patch:
                self._check_pixels(*self._resized_shape(image))
        else:
            settings = {"do_resize": False, "do_center_crop": False}
        values = self.processor(image, **settings).astype(np.float32, copy=False)
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
        size = (crop or {}) if self.processor.do_center_crop else self._size
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

    def _resized_shape(self, image: Image.Image) -> tuple[int, int]:
        return dataclasses.replace(self.processor, **self.overrides).resized_shape(image.size)

    def _check_pixels(self, width: int, height: int) -> None:
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
    usual_processor: str | Processor = "",
    video: bool = False,
) -> Preprocess:
    """The preprocessing of a checkpoint folder, at `image_size` pixels if given.

    It computes what `transformers`' PIL image processor does, by the settings of
    preprocessor_config.json, or of the image processor in processor_config.json: no PyTorch, no
    code of the checkpoint's, and the same pixels whatever else is installed. With `image_size`, the
    crop (or the resize, where there is no crop) has that size, and a resize before a crop keeps its
    ratio to it. Where the settings neither crop nor resize to one size, inputs have sizes of their
    own, multiples of `patch`; `usual` is their side where not even a short edge is said.
    `usual_processor`: the class of the processor where the settings name none, or the processor
    itself where there are none. `video`: whether the encoder is of videos, which may have a file of
    their own.

    Raises `FileNotFoundError` and `ValueError` as `image_processor.load_processor` does.
    """
    if isinstance(usual_processor, str):
        processor = load_processor(folder, usual_processor, video)
    else:
        processor = usual_processor
    overrides = {} if image_size is None else _square(processor, image_size)
    size = overrides.get("size") or processor.size or {}
    resized = processor.do_resize and size.get("height") and size.get("width")
    if resized or processor.do_center_crop:
        return Preprocess(processor, overrides)
    return Preprocess(processor, overrides, patch, size.get("shortest_edge") or usual)


def _square(processor: Processor, image_size: int) -> dict[str, Any]:
    """Settings of `processor` for square inputs of `image_size` pixels."""
    square = {"height": image_size, "width": image_size}
    size = processor.size
    if not processor.do_center_crop:
        return {"size": square, "do_resize": True}
    if size is None or size.get("shortest_edge") is None:
        return {"size": square, "crop_size": square}
    assert processor.crop_size is not None
    ratio = size["shortest_edge"] / processor.crop_size["height"]
    return {"size": {"shortest_edge": round(image_size * ratio)}, "crop_size": square}
