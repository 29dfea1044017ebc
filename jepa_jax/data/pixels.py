"""From any pixel layout, a Pillow image's or an array's, to 8-bit RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image

from jepa_jax.data.record import UnreadableImage

_ROUND_OFF = 1e-6  # above 1 by this much is float error, not another range


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded Pillow image of any mode as a new 8-bit RGB image without metadata.

    Transparency of every kind is composited on white. 16-bit grey is divided by 257 and rounded,
    so that 65535 is white. Mode F is taken to be [0, 1], or else [0, 255]. Raises
    `UnreadableImage` for values outside those ranges and for non-finite ones.
    """
    if image.mode == "I" or image.mode.startswith("I;16"):
        rgb = Image.fromarray(_grey16(image)).convert("RGB")
    elif image.mode == "F":
        rgb = Image.fromarray(_float_grey(np.asarray(image))).convert("RGB")
    elif image.has_transparency_data or image.mode == "La":
        rgb = _on_white(image.convert("LA") if image.mode == "La" else image)
    else:
        rgb = image.convert("RGB")
        rgb = rgb.copy() if rgb is image else rgb
    rgb.info = {}
    return rgb


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
    return to_rgb(Image.fromarray(np.ascontiguousarray(_to_uint8(array))))


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


def _grey16(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise UnreadableImage(f"mode {image.mode} pixels span [{low}, {high}]; expected 16 bits")
    grey = _divide_by_257(values)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return grey


def _divide_by_257(values: np.ndarray) -> np.ndarray:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _float_grey(values: np.ndarray) -> np.ndarray:
    low, high = _range(values)
    if low >= -_ROUND_OFF and high <= 1 + _ROUND_OFF:
        return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if low >= 0 and high <= 255:
        return np.rint(values).astype(np.uint8)
    raise UnreadableImage(f"mode F pixels span [{low:g}, {high:g}]; expected [0, 1] or [0, 255]")


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())  # NaN and inf reach one of them
    if not np.isfinite(low) or not np.isfinite(high):
        raise UnreadableImage("non-finite pixels")
    return low, high


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")
