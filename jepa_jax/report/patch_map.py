"""Where in an image the volume comes from, as colours: of a terminal's cells, and as a PNG."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from jepa_jax.atomic_files import replace
from jepa_jax.data.readable import open_regular
from jepa_jax.store.folder import check_apart
from jepa_jax.version import __version__

# From little to much, readable by the colour-blind and in grey: lightness grows all along.
STOPS = np.array([[12, 8, 54], [85, 20, 110], [168, 46, 95], [232, 103, 53], [250, 226, 130]])
_MARK = "jepa-jax"
_OPACITY = 0.65
_SIDE, _GAP, _LINE = 448, 16, 22
_BACKGROUND, _INK = (255, 255, 255), (20, 20, 20)


def colours(shares: Float[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows columns 3"]:
    """The colour of each share, from the smallest (dark) to the largest (light).

    >>> colours(np.array([[0.0, 1.0]])).tolist()
    [[[12, 8, 54], [250, 226, 130]]]
    """
    low, high = float(shares.min()), float(shares.max())
    level = (np.asarray(shares, float) - low) / (high - low or 1)
    at = np.linspace(0, 1, len(STOPS))
    return np.stack([np.interp(level, at, stop) for stop in STOPS.T], -1).round().astype(np.uint8)


def check_map_path(path: Path, image: Path) -> None:
    """Raises where a map cannot be written to `path`: only a map of ours is replaced.

    `ValueError` where the name does not end in .png, or lies in a folder of scores;
    `FileExistsError` where there is another file, the `image` itself among others.
    """
    check_apart(path, itself=False)
    if path.suffix.lower() != ".png":
        raise ValueError(f"--map writes a PNG: {path} must end in .png")
    if path.is_dir():
        raise IsADirectoryError(f"the map is a file, {path} is a folder")
    if path.exists():
        with open_regular(path) as file:
            ours = _MARK.encode() in file.read(200)
        if not ours or (image.exists() and path.samefile(image)):
            raise FileExistsError(f"{path} is not a map of ours: give another name by --map")


def write_map(
    path: Path,
    seen: UInt8[np.ndarray, "h w 3"],
    shares: Float[np.ndarray, "rows columns"],
    title: str,
) -> None:
    """Writes `drawing` as a PNG, whole or not at all."""
    facts = PngImagePlugin.PngInfo()
    facts.add_text("Software", f"{_MARK} {__version__}")
    picture = drawing(seen, shares, title)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, lambda file: picture.save(file, "PNG", pnginfo=facts))


def drawing(
    seen: UInt8[np.ndarray, "h w 3"], shares: Float[np.ndarray, "rows columns"], title: str
) -> Image.Image:
    """What the encoder sees, beside it the patches' shares over that, and a legend."""
    scale = max(1, round(_SIDE / max(seen.shape[:2])))
    size = (seen.shape[1] * scale, seen.shape[0] * scale)
    whole = Image.fromarray(np.ascontiguousarray(seen)).resize(size, Image.Resampling.NEAREST)
    heat = Image.fromarray(colours(shares)).resize(size, Image.Resampling.NEAREST)
    over = Image.blend(whole.convert("L").convert("RGB"), heat, _OPACITY)
    width = 2 * size[0] + 3 * _GAP
    page = Image.new("RGB", (width, size[1] + 4 * _LINE + 3 * _GAP), _BACKGROUND)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    draw.text((_GAP, _GAP // 2), _fitting(draw, title, font, width - 2 * _GAP), _INK, font)
    top = _GAP + _LINE
    page.paste(whole, (_GAP, top))
    page.paste(over, (2 * _GAP + size[0], top))
    _draw_legend(page, draw, shares, (_GAP, top + size[1] + _GAP, width - _GAP), font)
    return page


def legend(shares: Float[np.ndarray, "rows columns"]) -> str:
    """What the colours mean, in words."""
    rows, columns = shares.shape
    return (
        f"share of the volume's {shares.sum():.0f} directions that each of {rows} x {columns} "
        f"patches has: {shares.min():.3g} to {shares.max():.3g}, evenly {shares.mean():.3g}"
    )


def _draw_legend(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    shares: np.ndarray,
    place: tuple[int, int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    """A bar of the colours with its ends, the mean marked, and `legend` below."""
    left, top, right = place
    low, high, mean = (float(f()) for f in (shares.min, shares.max, shares.mean))
    ramp = colours(np.linspace(0, 1, right - left)[None])
    page.paste(Image.fromarray(ramp).resize((right - left, _LINE // 2)), (left, top))
    at = left + round((mean - low) / (high - low or 1) * (right - left - 1))
    draw.line([(at, top - 3), (at, top + _LINE // 2 + 2)], _INK, 2)
    ends = top + _LINE // 2 + 3
    draw.text((left, ends), f"{low:.3g}", _INK, font)
    draw.text((right, ends), f"{high:.3g}", _INK, font, anchor="ra")
    draw.text((left, ends + _LINE), _fitting(draw, legend(shares), font, right - left), _INK, font)


def _fitting(draw: ImageDraw.ImageDraw, text: str, font, width: int) -> str:
    """As much of a text as has room."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "...", font) > width:
        text = text[:-1]
    return text + "..."
