"""From any pixel layout, a Pillow image's or an array's, to 8-bit RGB."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from jepa_jax.data.record import UnreadableImage

_ROUND_OFF = 1e-6  # above 1 by this much is float error, not another range
_BAND = 1 << 20  # pixels converted at a time


def to_rgb(image: Image.Image, *, consume: bool = False) -> Image.Image:
    """A loaded Pillow image of any mode as a new 8-bit RGB image without metadata.

    Transparency of every kind is composited on white. 16-bit grey is divided by 257 and rounded,
    so that 65535 is white. Mode F is taken to be [0, 1], or else [0, 255]. `consume`: pixels that
    are RGB already are taken over, not copied. Raises `UnreadableImage` for values outside those
    ranges, for non-finite ones, and for a mode that Pillow cannot convert.

    Memory: beside the image one copy, 4 bytes a pixel; none for RGB that is consumed.
    """
    if image.mode == "I" or image.mode.startswith("I;16"):
        rgb = _by_bands(image, _grey16(image))
    elif image.mode == "F":
        rgb = _by_bands(image, _float_grey(image))
    elif image.mode == "La":
        rgb = _by_bands(image, lambda band: _on_white(band.convert("LA")))
    elif has_alpha(image):
        rgb = _by_bands(image, _on_white)
    elif image.mode == "RGB":
        rgb = image._new(image.im if consume else image.im.copy())
    else:
        rgb = _converted(image)
    rgb.info = {}
    return rgb


def has_alpha(image: Image.Image) -> bool:
    """Whether an image may have transparent pixels, loaded or not."""
    # `has_transparency_data` asserts that there is a palette; of an icon's there may be none.
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return True
    return image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A")


def image_from_array(array: np.ndarray, *, max_pixels: int | None = None) -> Image.Image:
    """A numeric array as an 8-bit RGB image.

    Shapes: (H, W), (H, W, C) with C = 1, 3 or 4 (alpha, composited on white), or (C, H, W) with
    C = 1 or 3; where both readings fit, channels are last. Values: bool; uint8; uint16, divided
    by 257; another integer type in [0, 255]; floats in [0, 1], scaled by 255. Unlike `decode`,
    floats up to 255 are refused: guessing image by image would brighten the dark rows of a
    [0, 255] array. Raises `UnreadableImage` for every other shape, type or range, and for more
    than `max_pixels` pixels.

    >>> image_from_array(np.full((2, 3), 0.2)).getpixel((0, 0))
    (51, 51, 51)
    """
    array = np.asarray(array)
    shape = array.shape
    if array.size == 0:
        raise UnreadableImage(f"an array without pixels, shape {shape}")
    if array.ndim == 3 and shape[-1] not in (1, 3, 4) and shape[0] in (1, 3):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[-1] in (3, 4)):
        raise UnreadableImage(
            f"an array of shape {shape}; expected (H, W), (H, W, 1 | 3 | 4) or (1 | 3, H, W)"
        )
    height, width = array.shape[:2]
    if max_pixels is not None and height * width > max_pixels:
        raise too_large(width, height, max_pixels)
    return to_rgb(Image.fromarray(np.ascontiguousarray(_to_uint8(array))), consume=True)


def too_large(width: int, height: int, max_pixels: int) -> UnreadableImage:
    """The error for an image with more than `max_pixels` pixels."""
    size = f"{width} x {height} = {width * height} pixels"
    return UnreadableImage(f"too large: {size}, `max_pixels` is {max_pixels}")


def _to_uint8(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return _divide_by_257(array)
    if array.dtype.kind in "iu":
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise UnreadableImage(
                f"{array.dtype} values span [{low}, {high}]; expected [0, 255], or uint16"
            )
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        low, high = _range(array)
        if low < -_ROUND_OFF or high > 1 + _ROUND_OFF:
            raise UnreadableImage(
                f"{array.dtype} values span [{low:g}, {high:g}]; expected [0, 1] for floats"
            )
        return np.rint(np.clip(array.astype(np.float32), 0, 1) * 255).astype(np.uint8)
    raise UnreadableImage(f"an array of {array.dtype}; expected integers, floats or booleans")


def _by_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """`convert` of the image, a band of rows at a time: what it holds beside is of a band."""
    rows = max(1, _BAND // image.width)
    if rows >= image.height:
        return convert(image)
    rgb = Image.new("RGB", image.size, None)
    for box in _bands(image, rows):
        rgb.paste(convert(image.crop(box)), box)
    return rgb


def _bands(image: Image.Image, rows: int) -> Iterator[tuple[int, int, int, int]]:
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(image.height, top + rows)


def _span(image: Image.Image) -> tuple[float, float]:
    """The smallest and the largest value; a NaN is both."""
    rows = max(1, _BAND // image.width)
    ends = [
        (values.min(), values.max())
        for values in (np.asarray(image.crop(box)) for box in _bands(image, rows))
    ]
    low, high = np.array(ends, np.float64).T
    return float(low.min()), float(high.max())


def _converted(image: Image.Image) -> Image.Image:
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise UnreadableImage(f"mode {image.mode} cannot be converted to RGB: {error}") from error


def _grey16(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What makes a band of this 16-bit image RGB."""
    low, high = _span(image)
    if low < 0 or high > 65535:
        raise UnreadableImage(
            f"mode {image.mode} pixels span [{low:.0f}, {high:.0f}]; expected 16 bits"
        )
    transparent = image.info.get("transparency")

    def convert(band: Image.Image) -> Image.Image:
        values = np.asarray(band)
        grey = _divide_by_257(values)
        if isinstance(transparent, int):
            grey[values == transparent] = 255
        return Image.fromarray(grey).convert("RGB")

    return convert


def _divide_by_257(values: np.ndarray) -> np.ndarray:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _float_grey(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What makes a band of this image of floats RGB."""
    low, high = _span(image)
    _check_finite(low, high)
    if low >= -_ROUND_OFF and high <= 1 + _ROUND_OFF:
        grey = lambda values: np.rint(np.clip(values, 0, 1) * 255)
    elif low >= 0 and high <= 255:
        grey = np.rint
    else:
        raise UnreadableImage(
            f"mode F pixels span [{low:g}, {high:g}]; expected [0, 1] or [0, 255]"
        )
    return lambda band: Image.fromarray(grey(np.asarray(band)).astype(np.uint8)).convert("RGB")


def _check_finite(low: float, high: float) -> None:
    if not np.isfinite(low) or not np.isfinite(high):
        raise UnreadableImage("non-finite pixels")


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())  # NaN and inf reach one of them
    _check_finite(low, high)
    return low, high


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")
