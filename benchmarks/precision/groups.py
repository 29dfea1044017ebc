"""Three groups of images: crops of photographs, textures, and what no camera takes."""

import numpy as np
from PIL import Image

PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "rocket", "moon", "coins", "retina")
TEXTURES = ("brick", "grass", "gravel")


def groups(count: int, side: int, seed: int = 0) -> dict[str, list[Image.Image]]:
    """`count` images of each group, of 2 `side` pixels or so; the same for the same seed."""
    rng = np.random.default_rng(seed)
    return {
        "photographs": [_crop(PHOTOGRAPHS[i % len(PHOTOGRAPHS)], rng) for i in range(count)],
        "textures": [_crop(TEXTURES[i % len(TEXTURES)], rng) for i in range(count)],
        "odd": [_odd(i, 2 * side, rng) for i in range(count)],
    }


def _crop(name: str, rng: np.random.Generator) -> Image.Image:
    """A square of a third to the whole of an image, at a random place."""
    import skimage.data

    image = Image.fromarray(np.asarray(getattr(skimage.data, name)())).convert("RGB")
    side = int(min(image.size) * rng.uniform(1 / 3, 1))
    left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
    return image.crop((left, top, left + side, top + side))


def _odd(index: int, side: int, rng: np.random.Generator) -> Image.Image:
    """Noise, stripes, a chessboard, a gradient, in turn; each with colours of its own."""
    y, x = np.mgrid[:side, :side] / side
    colours = rng.uniform(0, 255, (2, 3))
    period = rng.uniform(2, 12)
    share = {
        0: rng.uniform(size=(side, side, 3)),
        1: 0.5 + 0.5 * np.sin(2 * np.pi * period * x)[..., None],
        2: ((np.floor(period * x) + np.floor(period * y)) % 2)[..., None],
        3: (0.5 * (x + y))[..., None],
    }[index % 4]
    pixels = colours[0] * share + colours[1] * (1 - share)
    return Image.fromarray(pixels.round().astype(np.uint8))
