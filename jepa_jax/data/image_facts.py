"""What is known of an image without an encoder: size, compression, light, contrast, sharpness, and
a perceptual hash."""

import io
import math
from typing import Any

import numpy as np
from PIL import Image

# Sharpness depends on the scale it is measured at: one for all images, and little work.
_LONGEST = 512
# Of libjpeg, JPEG_MAX_DIMENSION.
_MOST_OF_A_JPEG = 65500
# Grey levels of contrast below which an image is blank: a hash would be one of its noise.
_BLANK = 2.0


def image_facts(image: Image.Image) -> dict[str, Any]:
    """Of one RGB or grey image, by the names of their columns:

    `width`, `height`: in pixels. `bits_per_pixel`: of a JPEG of quality 75, the complexity that
    scores follow; None above 65,500 pixels a side. Of its grey levels g (0 to 255; the image
    reduced by a whole number, by averages, to at most 512 pixels a side): `brightness`, their mean;
    `contrast`, their standard deviation; `sharpness`, the variance of the Laplacian g[i-1,j] +
    g[i+1,j] + g[i,j-1] + g[i,j+1] - 4 g[i,j], edges repeated (Pech-Pacheco and others, "Diatom
    autofocusing in brightfield microscopy", ICPR 2000). `perceptual_hash`: which of the 16 x 16
    lowest frequencies of g at 64 x 64 pixels are above their median, 256 bits in 64 hexadecimal
    digits, by `imagehash.phash(image, 16)`; None where the contrast is below 2.

    Cost: a JPEG of the whole image, most of it.

    >>> from PIL import Image
    >>> facts = image_facts(Image.new("RGB", (40, 30), "white"))
    >>> facts["width"], facts["brightness"], facts["contrast"], facts["sharpness"]
    (40, 255.0, 0.0, 0.0)
    """
    size = {"width": image.width, "height": image.height, "bits_per_pixel": _bits_per_pixel(image)}
    return size | _of_grey_levels(image)


def _bits_per_pixel(image: Image.Image) -> float | None:
    """None where a JPEG can hold no such image: an image that has a score is not to fail here."""
    if max(image.size) > _MOST_OF_A_JPEG:
        return None
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return 8 * buffer.tell() / (image.width * image.height)


def _of_grey_levels(image: Image.Image) -> dict[str, Any]:
    grey = image.convert("L")
    factor = math.ceil(max(grey.size) / _LONGEST)
    grey = grey.reduce(factor) if factor > 1 else grey
    levels = np.asarray(grey, np.int16)
    around = np.pad(levels, 1, mode="edge")
    laplacian = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
    laplacian -= 4 * levels
    contrast = float(levels.std(dtype=np.float64))
    return {
        "brightness": float(levels.mean()),
        "contrast": contrast,
        "sharpness": float(laplacian.var(dtype=np.float64)),
        "perceptual_hash": _hash(grey) if contrast >= _BLANK else None,
    }


def _hash(grey: Image.Image) -> str:
    import imagehash  # With SciPy's transforms: where images are scored alone.

    return str(imagehash.phash(grey, hash_size=16))
