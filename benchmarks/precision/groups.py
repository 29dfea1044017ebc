"""Three groups of images: crops of photographs, textures, and what no camera takes."""

import functools

import numpy as np
from PIL import Image

from jepa_jax.data import Record

# Of scikit-image's package, and two of scikit-learn's.
PHOTOGRAPHS = (
    *("astronaut", "camera", "chelsea", "coffee", "rocket", "moon", "coins", "retina"),
    *("china.jpg", "flower.jpg"),
)
TEXTURES = ("brick", "grass", "gravel")
GROUPS = ("photographs", "textures", "odd")


def records(count: int, side: int) -> list[Record]:
    """`count` images of each group, in turn, each the same whatever the count.

    Odd images are of 2 `side` pixels; a crop is as large as it is.
    """
    return [
        Record(f"{group}-{i:03d}", group, functools.partial(image, group, i, side))
        for i in range(count)
        for group in GROUPS
    ]


def image(group: str, index: int, side: int) -> Image.Image:
    """The index-th image of a group."""
    rng = np.random.default_rng([GROUPS.index(group), index])
    if group == "odd":
        return _odd(index, 2 * side, rng)
    names = PHOTOGRAPHS if group == "photographs" else TEXTURES
    return _crop(names[index % len(names)], rng)


@functools.cache
def _whole(name: str) -> Image.Image:
    if name.endswith(".jpg"):
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(name)
    else:
        import skimage.data

        pixels = getattr(skimage.data, name)()
    return Image.fromarray(np.asarray(pixels)).convert("RGB")


def _crop(name: str, rng: np.random.Generator) -> Image.Image:
    """A square of a third to the whole of an image, at a random place."""
    image = _whole(name)
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
