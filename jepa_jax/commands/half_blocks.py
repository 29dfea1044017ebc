"""Small pictures in a terminal: a cell is two pixels, one above the other."""

from typing import TYPE_CHECKING

from jepa_jax.commands.terminal import results

if TYPE_CHECKING:
    import numpy as np

# At most so many pixels a side: a terminal has 80 columns, and two pictures beside each other.
_SIDE = 36
_RAMP = " .:-=+*#%@"


def cells(picture: "np.ndarray", grid: tuple[int, ...]) -> "np.ndarray":
    """A picture (H, W, 3) of uint8 at a size that a terminal has room for, a multiple of the `grid`
    where that is small."""
    import numpy as np
    from PIL import Image

    scale = max(1, _SIDE // max(grid))
    height, width = (min(side * scale, _SIDE) for side in grid)
    method = Image.Resampling.BOX if picture.shape[0] > height else Image.Resampling.NEAREST
    resized = Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), method)
    return np.asarray(resized)


def print_cells(pictures: list["np.ndarray"], shares: "np.ndarray") -> None:
    """Prints pictures of one height in half blocks; without colours, the `shares` as characters."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    console = results()
    if console.color_system is None:
        print_ramp(shares)
        return
    of = lambda pixel: Color.from_rgb(*map(int, pixel))
    for y in range(0, pictures[0].shape[0], 2):
        line = Text()
        for i, picture in enumerate(pictures):
            line.append("  " if i else "")
            for x in range(picture.shape[1]):
                below = picture[y + 1, x] if y + 1 < picture.shape[0] else None
                style = Style(color=of(picture[y, x]), bgcolor=None if below is None else of(below))
                line.append("\N{UPPER HALF BLOCK}", style)
        console.print(line)


def print_ramp(shares: "np.ndarray") -> None:
    """The shares as characters, two for a patch, from little to much."""
    low, high = float(shares.min()), float(shares.max())
    for row in shares:
        level = ((row - low) / (high - low or 1) * (len(_RAMP) - 1)).round().astype(int)
        results().print("".join(2 * _RAMP[i] for i in level), markup=False)
