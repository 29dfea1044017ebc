"""From the bytes of an image file to an 8-bit RGB image."""

from __future__ import annotations

import io
import math
import os
import struct
from functools import cache
from typing import IO

from PIL import Image, ImageFile, ImageOps

from jepa_jax.data.pixels import to_rgb, too_large
from jepa_jax.data.record import UnreadableImage

MAX_PIXELS = 89_478_485
"""The largest width x height decoded unless told otherwise: Pillow's own limit."""

# EPS starts Ghostscript, an outside program; Pillow recognises the others but has no decoder.
_NOT_DECODED = frozenset({"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"})

# How a Pillow plugin says that a file is not of its format (`Image.open` treats them so too).
_NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)


def decode(
    data: bytes | str | os.PathLike[str],
    *,
    max_pixels: int | None = MAX_PIXELS,
    longest_side: int | None = None,
) -> Image.Image:
    """An image file, as its bytes or its path, decoded to 8-bit RGB.

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

    >>> import io
    >>> buffer = io.BytesIO()
    >>> Image.new("RGBA", (3, 2), (255, 0, 0, 0)).save(buffer, "PNG")
    >>> decode(buffer.getvalue()).getpixel((0, 0))
    (255, 255, 255)
    """
    if isinstance(data, (str, os.PathLike)):
        with open(data, "rb") as file:
            return _decode(file, max_pixels, longest_side)
    with io.BytesIO(data) as file:
        return _decode(file, max_pixels, longest_side)


@cache
def image_extensions() -> frozenset[str]:
    """The file name extensions of the formats `decode` reads, lower case, with the dot.

    >>> {".jpg", ".webp", ".tiff"} <= image_extensions(), ".txt" in image_extensions()
    (True, False)
    """
    readable = set(_formats())
    return frozenset(e for e, name in Image.registered_extensions().items() if name in readable)


def has_image_extension(name: str) -> bool:
    """Whether a file name ends like an image's, in either case."""
    return os.path.splitext(name)[1].lower() in image_extensions()


@cache
def _formats() -> tuple[str, ...]:
    Image.preinit()  # the common formats first, as `Image.open` does
    Image.init()
    return tuple(name for name in Image.ID if name not in _NOT_DECODED)


def _decode(file: IO[bytes], max_pixels: int | None, longest_side: int | None) -> Image.Image:
    image = _open(file, max_pixels)
    width, height = image.size
    if max_pixels is not None and width * height > max_pixels:
        raise too_large(width, height, max_pixels)
    if longest_side is not None and longest_side < max(width, height):
        scale = longest_side / max(width, height)
        image.draft(None, (math.ceil(scale * width), math.ceil(scale * height)))
    try:
        image.load()
    except Exception as error:
        raise _unreadable(image.format, error) from error
    # In place: a transposed copy of a large image costs as much memory again. A damaged EXIF
    # block says nothing about the orientation and takes nothing from the pixels.
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:
        pass
    return to_rgb(image)


def _open(file: IO[bytes], max_pixels: int | None) -> ImageFile.ImageFile:
    # Not `Image.open`: it warns of large images, and a warning cannot be silenced in one thread;
    # nor could a user raise `max_pixels` beyond twice Pillow's global limit.
    prefix = file.read(16)
    if not prefix:
        raise UnreadableImage("empty file")
    found = ""
    for name in _formats():
        factory, accept = Image.OPEN[name]
        accepted = False
        try:
            accepted = accept(prefix) if accept else True
            if isinstance(accepted, str):  # Pillow was built without that format's decoder
                found = found or f"{name}: {accepted}"
            elif accepted:
                file.seek(0)
                return factory(file, "")
        except _NOT_THIS_FORMAT as error:
            if accepted and accept and not found:
                found = f"begins like {name}, but: {error}"
        except Image.DecompressionBombError as error:
            raise UnreadableImage(f"too large: {error} (`max_pixels` is {max_pixels})") from error
        except Exception as error:
            raise _unreadable(name, error) from error
    raise UnreadableImage(f"not an image Pillow can read ({found or f'begins with {prefix!r}'})")


def _unreadable(name: str | None, error: Exception) -> Exception:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        return error  # the machine or the storage failed, not the image
    if isinstance(error, Image.DecompressionBombError):
        return UnreadableImage(f"too large: {error}")
    text = str(error) or type(error).__name__
    cut = isinstance(error, EOFError) or "truncated" in text.lower()
    return UnreadableImage(f"{'truncated' if cut else 'corrupt'} {name} file ({text})")
