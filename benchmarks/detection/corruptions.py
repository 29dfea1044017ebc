"""The same photograph, spoiled five times more and more, four ways."""

import io

import numpy as np
from PIL import Image, ImageFilter

# Pixels of the blur's standard deviation; grey levels of the noise's; JPEG's quality; the contrast
# that is left. An image's shorter side is 128 pixels.
STRENGTHS: dict[str, tuple[float, ...]] = {
    "blur": (0.5, 1.0, 1.5, 2.5, 4.0),
    "noise": (5.0, 10.0, 20.0, 40.0, 80.0),
    "JPEG": (60, 30, 15, 8, 3),
    "contrast": (0.7, 0.5, 0.35, 0.2, 0.1),
}


def spoiled(image: Image.Image, kind: str, strength: float, seed: int) -> Image.Image:
    """`image`, RGB, with one kind of corruption; the noise is by `seed`."""
    if kind == "blur":
        return image.filter(ImageFilter.GaussianBlur(strength))
    if kind == "JPEG":
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=int(strength))
        return Image.open(stored).convert("RGB")
    pixels = np.asarray(image, np.float64)
    if kind == "noise":
        pixels = pixels + np.random.default_rng(seed).normal(0, strength, pixels.shape)
    elif kind == "contrast":
        mean = pixels.mean()
        pixels = mean + strength * (pixels - mean)
    else:
        raise ValueError(f"`kind` must be one of {', '.join(STRENGTHS)}, got {kind!r}")
    return Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8))
