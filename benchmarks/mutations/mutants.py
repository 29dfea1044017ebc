"""Images of every format, mode and size that Pillow writes, and damaged ones made of them."""

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from benchmarks.mutations.by_hand import BY_HAND

# Extension, and how Pillow is asked to write it.
FORMATS: dict[str, tuple[str, dict]] = {
    "png": ("PNG", {}),
    "apng": ("PNG", {"save_all": True}),
    "jpg": ("JPEG", {}),
    "jpeg": ("JPEG", {"progressive": True, "quality": 40}),
    "mpo": ("MPO", {"save_all": True}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "avif": ("AVIF", {}),
    "tif": ("TIFF", {}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
    "dib": ("DIB", {}),
    "ico": ("ICO", {}),
    "icns": ("ICNS", {}),
    "jp2": ("JPEG2000", {}),
    "ppm": ("PPM", {}),
    "tga": ("TGA", {"compression": "tga_rle"}),
    "pcx": ("PCX", {}),
    "sgi": ("SGI", {}),
    "qoi": ("QOI", {}),
    "dds": ("DDS", {}),
    "im": ("IM", {}),
    "msp": ("MSP", {}),
    "xbm": ("XBM", {}),
    "blp": ("BLP", {}),
    "spi": ("SPIDER", {}),
}
MODES = (
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB"),
    *("HSV", "I", "I;16", "I;16B", "F"),
)
SIZES = ((1, 1), (1, 7), (3, 2), (17, 9), (64, 64), (300, 200), (20_000, 2), (2, 20_000))
# Numbers that a header should not have.
_ODD_NUMBERS = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000)


@dataclass(frozen=True)
class Mutant:
    """One image file: `name` in its folder, `data`, and what was done: its format, mode, size and
    mutation."""

    name: str
    data: bytes
    format: str
    mode: str
    size: tuple[int, int]
    mutation: str


def mutants(count: int, seed: int = 0) -> Iterator[Mutant]:
    """`count` images, the same ones for the same seed and version of Pillow.

    Formats come in turn, each in a mode that it can be written in, and one in eight is whole.
    """
    rng = np.random.default_rng(seed)
    names = [*FORMATS, *BY_HAND]
    for number in range(count):
        extension = names[number % len(names)]
        mode, size, data = _whole(extension, rng)
        kinds = list(MUTATIONS)
        mutation = kinds[int(rng.integers(len(kinds)))] if number % 8 else "none"
        changed = MUTATIONS[mutation](bytearray(data), rng)
        yield Mutant(f"{number:04d}.{extension}", changed, extension, mode, size, mutation)


def _whole(extension: str, rng: np.random.Generator) -> tuple[str, tuple[int, int], bytes]:
    """An undamaged image of a format: a mode and a size that it can have."""
    writable = _writable(extension)
    while True:
        mode = writable[int(rng.integers(len(writable)))]
        size = SIZES[int(rng.integers(len(SIZES)))]
        data = _written(extension, mode, size, int(rng.integers(2**31)))
        if data:
            return mode, size, data


@cache
def _writable(extension: str) -> tuple[str, ...]:
    modes = tuple(mode for mode in MODES if _written(extension, mode, (17, 9), 0))
    if not modes:
        raise RuntimeError(f"Pillow writes no mode as .{extension} here")
    return modes


def _written(extension: str, mode: str, size: tuple[int, int], seed: int) -> bytes:
    """An image as a file; b"" where the format does not have such."""
    if extension in BY_HAND:
        modes, writer = BY_HAND[extension]
        return writer(_picture(mode, size, seed)) if mode in modes else b""
    format, options = FORMATS[extension]
    frames = [_picture(mode, size, seed + n) for n in range(2 if options.get("save_all") else 1)]
    buffer = io.BytesIO()
    more = {"append_images": frames[1:]} if len(frames) > 1 else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames[0].save(buffer, format, **options, **more)
    except Exception:  # Whatever a writer says of a mode or size that it does not have.
        return b""
    return buffer.getvalue()


def _picture(mode: str, size: tuple[int, int], seed: int) -> Image.Image:
    """Smooth colours with some noise, of a mode."""
    rng, (width, height) = np.random.default_rng(seed), size
    ramp = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    noise = rng.integers(0, 16, (height, width, 3))
    image = Image.fromarray((ramp * rng.uniform(0.3, 1, 3) + noise).astype(np.uint8))
    if mode in ("I", "I;16", "I;16B"):
        grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
        whole = Image.fromarray(grey)
        return whole if mode == "I;16" else whole.convert(mode)
    if mode == "F":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255)
    if mode == "PA":
        return image.convert("P").convert("PA")
    if mode == "La":
        return image.convert("LA").convert("La")
    if mode == "RGBa":
        return image.convert("RGBA").convert("RGBa")
    if mode == "LAB":
        from PIL import ImageCms

        to = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        return ImageCms.applyTransform(image, to) or image
    return image.convert(mode)


Mutation = Callable[[bytearray, np.random.Generator], bytes]


def _flip(count: int, beginning: int | None = None) -> Mutation:
    def mutate(data: bytearray, rng: np.random.Generator) -> bytes:
        end = min(len(data), beginning or len(data))
        for at in rng.integers(0, end, count).tolist():
            data[at] ^= int(rng.integers(1, 256))
        return bytes(data)

    return mutate


def _truncate(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: int(rng.integers(0, len(data)))])


def _cut_out(data: bytearray, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(len(data))), int(rng.integers(1, 200))
    del data[start : start + length]
    return bytes(data)


def _insert(data: bytearray, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 200)))
    return bytes(data)


def _blank(data: bytearray, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(len(data))), int(rng.integers(1, 400))
    fill = (0, 0xFF)[int(rng.integers(2))]
    end = min(len(data), start + length)
    data[start:end] = bytes([fill]) * (end - start)
    return bytes(data)


def _number(data: bytearray, rng: np.random.Generator) -> bytes:
    """A number of 1, 2 or 4 bytes in the header, either way round, that it should not have."""
    width = (1, 2, 4)[int(rng.integers(3))]
    value = _ODD_NUMBERS[int(rng.integers(len(_ODD_NUMBERS)))] & (256**width - 1)
    order = ("big", "little")[int(rng.integers(2))]
    at = int(rng.integers(max(1, min(len(data), 160) - width)))
    data[at : at + width] = value.to_bytes(width, order)
    return bytes(data)


def _repeat(data: bytearray, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(len(data))), int(rng.integers(1, 2000))
    data[start:start] = data[start : start + length]
    return bytes(data)


MUTATIONS: dict[str, Mutation] = {
    "one byte": _flip(1),
    "30 bytes": _flip(30),
    "3 bytes of the header": _flip(3, 64),
    "a number of the header": _number,
    "truncated": _truncate,
    "cut out": _cut_out,
    "inserted": _insert,
    "blanked": _blank,
    "repeated": _repeat,
    "none": lambda data, rng: bytes(data),
}
