"""Images that are not digits, or spoiled ones: what the embedded encoder is tried on.

Every function takes a NumPy generator, and a grey digit image where it spoils one, and returns a
PIL image. The digits are white on black, as in the training data.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

SIDE = 28
# No I, O, S, Z, l, o, s, z, q, g, b: drawn by hand they are digits.
LETTERS = "ABCDEFGHJKLMNPQRTUVWXYadefhkmnrtwxy"


def noise(rng: np.random.Generator) -> Image.Image:
    """Uniform colour noise."""
    return Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def sparse_noise(rng: np.random.Generator) -> Image.Image:
    """White pixels on black, as many as a digit has: one in eight."""
    return Image.fromarray(((rng.random((SIDE, SIDE)) < 1 / 8) * 255).astype(np.uint8))


def blank(rng: np.random.Generator) -> Image.Image:
    """One grey level, from black to white."""
    return Image.new("L", (SIDE, SIDE), int(rng.integers(0, 256)))


def texture(rng: np.random.Generator) -> Image.Image:
    """A checkerboard or stripes of random period and levels."""
    y, x = np.mgrid[:SIDE, :SIDE] + rng.integers(0, 8, (2, 1, 1))
    period = int(rng.integers(1, 6))
    kind = rng.integers(3)
    odd = [(x // period + y // period) % 2, (x // period) % 2, ((x + y) // period) % 2][kind]
    low, high = int(rng.integers(0, 80)), int(rng.integers(160, 256))
    return Image.fromarray(np.where(odd, high, low).astype(np.uint8))


def letter(rng: np.random.Generator, text: str | None = None) -> Image.Image:
    """A letter in Pillow's own font, of a digit's size, a little rotated and blurred."""
    text = text or LETTERS[rng.integers(len(LETTERS))]
    font = ImageFont.load_default(size=int(rng.integers(21, 27)))
    image = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    draw.text((SIDE / 2, SIDE / 2), text, fill=255, font=font, anchor="mm", stroke_width=0.5)
    image = image.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR)
    return image.filter(ImageFilter.GaussianBlur(0.5))


def shape(rng: np.random.Generator, kind: str | None = None) -> Image.Image:
    """The outline of a triangle, square, star or cross, drawn with a digit's stroke."""
    kind = kind or ("triangle", "square", "star", "cross")[rng.integers(4)]
    big, middle = 4 * SIDE, 2 * SIDE
    corners = {"triangle": 3, "square": 4, "star": 5, "cross": 4}[kind]
    turns = np.arange(corners) / corners + rng.uniform(-0.06, 0.06) - 0.25
    radius = rng.uniform(0.3, 0.42) * big
    points = [(middle + radius * np.cos(a), middle + radius * np.sin(a)) for a in 2 * np.pi * turns]
    order = {"star": (0, 2, 4, 1, 3, 0)}.get(kind, (*range(corners), 0))
    image = Image.new("L", (big, big))
    draw = ImageDraw.Draw(image)
    lines = [(0, 2), (1, 3)] if kind == "cross" else list(itertools.pairwise(order))
    for start, end in lines:
        draw.line([points[start], points[end]], fill=255, width=10)
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


@functools.cache
def _photographs() -> tuple[Image.Image, ...]:
    from sklearn.datasets import load_sample_image

    return tuple(Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg"))


def photograph(rng: np.random.Generator, side: int = 64) -> Image.Image:
    """A crop of one of scikit-learn's two photographs, from 64 to 256 pixels wide."""
    source = _photographs()[rng.integers(2)]
    size = int(rng.integers(64, 257))
    left = int(rng.integers(0, source.width - size + 1))
    top = int(rng.integers(0, source.height - size + 1))
    return source.crop((left, top, left + size, top + size)).resize((side, side))


@functools.cache
def _small_digits() -> np.ndarray:
    from sklearn.datasets import load_digits

    digits: Any = load_digits()  # Without stubs, its type is also the tuple of `return_X_y`.
    return digits.images


def small_digit(rng: np.random.Generator) -> Image.Image:
    """One of scikit-learn's 8 x 8 digits, enlarged to a digit's place in its frame."""
    images = _small_digits()
    pixels = (images[rng.integers(len(images))] * 255 / 16).astype(np.uint8)
    digit = Image.fromarray(pixels).resize((20, 20), Image.Resampling.BICUBIC)
    return ImageOps.expand(digit, 4)


def inverted(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Black on white."""
    return ImageOps.invert(digit)


def blurred(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Under a Gaussian blur of 2 pixels."""
    return digit.filter(ImageFilter.GaussianBlur(2))


def rotated(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turned by 60 to 120 degrees, either way."""
    angle = float(rng.uniform(60, 120) * rng.choice([-1, 1]))
    return digit.rotate(angle, Image.Resampling.BILINEAR)


def half_erased(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Its upper, lower, left or right half painted black."""
    h = SIDE // 2
    boxes = [(0, 0, SIDE, h), (0, h, SIDE, SIDE), (0, 0, h, SIDE), (h, 0, SIDE, SIDE)]
    image = digit.copy()
    image.paste(0, boxes[rng.integers(4)])
    return image


def shuffled(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Its pixels in random order."""
    pixels = np.asarray(digit)
    return Image.fromarray(rng.permutation(pixels.ravel()).reshape(pixels.shape))


def tiled(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Its sixteen 7 x 7 tiles in random order."""
    tiles = np.asarray(digit).reshape(4, 7, 4, 7).transpose(0, 2, 1, 3).reshape(16, 7, 7)
    mixed = rng.permutation(tiles).reshape(4, 4, 7, 7).transpose(0, 2, 1, 3)
    return Image.fromarray(np.ascontiguousarray(mixed.reshape(SIDE, SIDE)))


def noisy(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """With Gaussian noise of standard deviation 80 of 255."""
    values = np.asarray(digit) + 80 * rng.standard_normal((SIDE, SIDE))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def overlapped(digit: Image.Image, other: Image.Image) -> Image.Image:
    """Two digits, the brighter pixel of the two."""
    return ImageChops.lighter(digit, other)


# Drawn without a digit, and made of one.
DRAWN: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "noise": noise,
    "sparse noise": sparse_noise,
    "blank": blank,
    "texture": texture,
    "photograph": photograph,
    "letter": letter,
    "shape": shape,
    "small digit": small_digit,
}
SPOILED: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "inverted": inverted,
    "shuffled pixels": shuffled,
    "shuffled tiles": tiled,
    "noisy": noisy,
    "blurred": blurred,
    "rotated": rotated,
    "half erased": half_erased,
}
