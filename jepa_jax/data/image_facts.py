"""What is known of an image without an encoder: its size, and how well it compresses."""

import io
from typing import Any

from PIL import Image


def image_facts(image: Image.Image) -> dict[str, Any]:
    """Size, and bits per pixel of a JPEG of quality 75: the complexity that scores follow."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    bits = 8 * buffer.tell() / (image.width * image.height)
    return {"width": image.width, "height": image.height, "bits_per_pixel": bits}
