"""From the bytes of an image file to an 8-bit RGB image."""

from __future__ import annotations

import errno
import io
import math
import os
from collections.abc import Sequence
from typing import IO, Any

from PIL import Image, ImageFile, ImageOps

from jepa_jax.data import kinds, png
from jepa_jax.data.memory import DECODING
from jepa_jax.data.pixels import has_alpha, to_rgb, too_large
from jepa_jax.data.readable import open_regular
from jepa_jax.data.record import UnreadableImage, is_storage_error
from jepa_jax.data.stored_files import StoredFile
from jepa_jax.object_stores import Address

MAX_PIXELS = 89_478_485
"""The largest width x height decoded unless told otherwise: Pillow's own limit."""

# Bytes a pixel: of Pillow's modes in memory (4 where not named), and of what a decoder holds beside
# the image, measured.
_IN_MEMORY = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
_OF_DECODER = {"WEBP": 12, "AVIF": 7, "JPEG2000": 16, "TIFF": 4}


def decode(
    data: bytes | str | os.PathLike[str] | Address | StoredFile,
    *,
    max_pixels: int | None = MAX_PIXELS,
    longest_side: int | None = None,
) -> Image.Image:
    """An image file, as its bytes, its path or address, decoded to 8-bit RGB.

    Any raster format Pillow decodes. The EXIF orientation is applied; of an animation, the first
    frame counts; transparency is composited on white; 16-bit grey is divided by 257; a float
    image is read as [0, 1] or, failing that, [0, 255]. An embedded ICC profile is not applied
    and CMYK is converted by Pillow's formula: encoders were trained on pixels decoded so.
    `longest_side` is for thumbnails: where a format can (JPEG), the image is decoded smaller, its
    longest side still at least so many pixels, in a fraction of the time.

    Raises `UnreadableImage` for an empty file, a file that is no image, a truncated or corrupt
    one, one with more than `max_pixels` pixels (None: no limit; refused before its pixels are
    decoded), and one whose values have no known range; `OSError` if the file cannot be opened
    or read. Safe to call from several threads; changes no setting of Pillow's.

    Memory: 4 bytes a pixel, 4 more where the mode is not RGB or the image is turned, and what a
    format's decoder needs. Images being decoded at the same time wait for each other beyond 1 GiB
    (`jepa_jax.data.memory`).

    >>> import io
    >>> buffer = io.BytesIO()
    >>> Image.new("RGBA", (3, 2), (255, 0, 0, 0)).save(buffer, "PNG")
    >>> decode(buffer.getvalue()).getpixel((0, 0))
    (255, 255, 255)
    """
    if isinstance(data, (str, os.PathLike)):
        with open_regular(data) as file:
            return _decode(file, max_pixels, longest_side)
    if isinstance(data, Address):
        data = data.read_bytes()
    elif isinstance(data, StoredFile):
        data = data.read()
    with io.BytesIO(data) as file:
        return _decode(file, max_pixels, longest_side)


def count_frames(path: str | os.PathLike[str]) -> int:
    """The frames of an animated file, of a still one 1. Reads it through; raises as `decode`."""
    with open_regular(path) as file:
        image = _open(file, None)
        try:
            return getattr(image, "n_frames", 1)
        except Exception as error:
            raise _unreadable(image.format, error) from error


def decode_frames(
    path: str | os.PathLike[str], numbers: Sequence[int], *, max_pixels: int | None = MAX_PIXELS
) -> list[Image.Image]:
    """The frames of these `numbers`, from 0, of an animated file.

    Each as `decode` gives it, but for the orientation, which animations have none of. Raises as
    `decode`, and `UnreadableImage` where all of them together have more than `max_pixels` pixels.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "a.gif")
    >>> frames = [Image.new("RGB", (4, 4), (60 * i, 0, 0)) for i in range(4)]
    >>> frames[0].save(path, save_all=True, append_images=frames[1:])
    >>> count_frames(path), [f.getpixel((0, 0))[0] for f in decode_frames(path, [1, 3])]
    (4, [60, 180])
    """
    with open_regular(path) as file:
        image = _open(file, max_pixels)
        width, height = image.size
        if max_pixels is not None and width * height * len(numbers) > max_pixels:
            raise too_large(width, height * len(numbers), max_pixels)
        frames: dict[int, Image.Image] = {}
        try:
            for number in sorted(set(numbers)):
                image.seek(number)
                frames[number] = to_rgb(image.copy(), consume=True)
        except UnreadableImage:
            raise
        except Exception as error:
            raise _unreadable(image.format, error) from error
        return [frames[number] for number in numbers]


def _decode(file: IO[bytes], max_pixels: int | None, longest_side: int | None) -> Image.Image:
    info: dict[str, Any] = {}
    if file.read(len(png.MAGIC)) == png.MAGIC:
        file, info = png.without_metadata(file)
    file.seek(0)
    image = _open(file, max_pixels)
    width, height = image.size
    if width < 1 or height < 1:
        raise UnreadableImage(f"an image without pixels: {width} x {height}")
    if max_pixels is not None and width * height > max_pixels:
        raise too_large(width, height, max_pixels)
    if longest_side is not None and longest_side < max(width, height):
        scale = longest_side / max(width, height)
        image.draft(None, (math.ceil(scale * width), math.ceil(scale * height)))
    image.info |= info
    with DECODING.taking(_size_in_memory(image)):
        try:
            image.load()
        except Exception as error:
            raise _unreadable(image.format, error) from error
        image.info |= info
        # In place: a transposed copy beside the image would be a third one. A damaged EXIF block
        # says nothing about the orientation and takes nothing from the pixels.
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except MemoryError:
            raise
        except Exception:
            pass
        try:
            return to_rgb(image, consume=True)
        except UnreadableImage:
            raise
        except Exception as error:
            raise _unreadable(image.format, error) from error


def _size_in_memory(image: Image.Image) -> int:
    """The most bytes that the image takes from here to 8-bit RGB."""
    stored = _IN_MEMORY.get(image.mode, 4)
    plain = image.mode == "RGB" and not has_alpha(image)
    turned = stored if {"exif", "xmp", "Raw profile type exif"} & set(image.info) else 0
    decoder = 6 if "progressive" in image.info else _OF_DECODER.get(image.format or "", 0)
    held = max(decoder, 0 if plain else 4, turned)
    return image.width * image.height * (stored + held)


def _open(file: IO[bytes], max_pixels: int | None) -> ImageFile.ImageFile:
    # Not `Image.open`: it warns of large images, and a warning cannot be silenced in one thread;
    # nor could a user raise `max_pixels` beyond twice Pillow's global limit.
    prefix = file.read(16)
    if not prefix:
        raise UnreadableImage("empty file")
    found = ""
    for name in kinds.formats():
        factory, accept = Image.OPEN[name]
        accepted = False
        try:
            accepted = accept(prefix) if accept else True
            if isinstance(accepted, str):  # Pillow was built without that format's decoder
                found = found or f"{name}: {accepted}"
            elif accepted:
                file.seek(0)
                return factory(file, "")
        except kinds.NOT_THIS_FORMAT as error:
            if accepted and accept and not found:
                found = f"begins like {name}, but: {error}"
        except Image.DecompressionBombError as error:
            raise UnreadableImage(f"too large: {error} (`max_pixels` is {max_pixels})") from error
        except Exception as error:
            raise _unreadable(name, error) from error
    file.seek(0)
    found = kinds.what_begins_so(file.read(kinds.HEAD)) or found or f"begins with {prefix!r}"
    raise UnreadableImage(f"not an image Pillow can read ({found})")


def _unreadable(name: str | None, error: Exception) -> Exception:
    # A damaged file's offsets lead a reader to a place before its beginning (EINVAL).
    led_astray = isinstance(error, OSError) and error.errno == errno.EINVAL
    if isinstance(error, MemoryError) or (is_storage_error(error) and not led_astray):
        return error  # the machine or the storage failed, not the image
    if isinstance(error, Image.DecompressionBombError):
        return UnreadableImage(f"too large: {error}")
    text = str(error) or type(error).__name__
    cut = isinstance(error, EOFError) or "truncated" in text.lower()
    return UnreadableImage(f"{'truncated' if cut else 'corrupt'} {name} file ({text})")
