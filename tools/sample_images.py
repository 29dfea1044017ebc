"""Writes the sample images that come with the package.

    python -m tools.sample_images --out jepa_jax/assets/samples

writes 41 small files: 24 held-out digits, 16 images that are odd in some way, named after it, and
broken.png, a PNG file cut off in the middle. The same files at every run with one version of
Pillow. Takes seconds; needs mlxtend and scikit-learn.
"""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.shared import odd_images as odd
from jepa_jax.training.digits import Digits, load_digits

DIGITS = 24
SEED = 0


def sample_images() -> dict[str, Image.Image]:
    """File names to images, the broken one aside."""
    _, held_out, _ = load_digits()
    rng = np.random.default_rng(SEED)
    images = _digits(held_out, rng)
    checkerboard = (np.indices((28, 28)) // 4).sum(0) % 2 == 1
    three, four, seven = (images[f"digit-{n}-a.png"] for n in (3, 4, 7))
    images |= {
        "odd-black.png": Image.new("L", (28, 28), 0),
        "odd-blurred-digit.png": odd.blurred(three, rng),
        "odd-checkerboard.png": Image.fromarray(checkerboard).convert("L"),
        "odd-half-erased-digit.png": odd.half_erased(three, rng),
        "odd-inverted-digit.png": odd.inverted(seven, rng),
        "odd-letter-A.png": odd.letter(rng, "A"),
        "odd-letter-K.png": odd.letter(rng, "K"),
        "odd-letter-R.png": odd.letter(rng, "R"),
        "odd-noise.png": odd.noise(rng),
        "odd-photograph.jpg": odd.photograph(rng),
        "odd-rotated-digit.png": odd.rotated(four, rng),
        "odd-shuffled-digit.png": odd.shuffled(seven, rng),
        "odd-small-digit.png": odd.small_digit(rng),
        "odd-star.png": odd.shape(rng, "star"),
        "odd-two-digits.png": odd.overlapped(four, seven),
        "odd-white.png": Image.new("L", (28, 28), 255),
    }
    return images


def _digits(held_out: Digits, rng: np.random.Generator) -> dict[str, Image.Image]:
    order = {n: rng.permutation(np.flatnonzero(held_out.labels == n)) for n in range(10)}
    images = {}
    for index in range(DIGITS):
        place, digit = divmod(index, 10)
        pixels = (255 * held_out.images[order[digit][place]]).round().astype(np.uint8)
        images[f"digit-{digit}-{'abc'[place]}.png"] = Image.fromarray(pixels)
    return images


def broken_png(image: Image.Image) -> bytes:
    """The first half of a PNG file: its header is right, its pixels end early."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()[: buffer.tell() // 2]


def main(arguments: list[str] | None = None) -> None:
    """The command line of this module; see its docstring."""
    parser = argparse.ArgumentParser(description="Write the sample images.")
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args(arguments).out
    out.mkdir(parents=True, exist_ok=True)
    images = sample_images()
    for name, image in sorted(images.items()):
        options: dict[str, Any] = {"quality": 90} if name.endswith(".jpg") else {}
        image.save(out / name, **options)
    (out / "broken.png").write_bytes(broken_png(images["digit-5-a.png"]))
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{len(images) + 1} files, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
