"""Positions of patches that are computed and not learned."""

import numpy as np
from jaxtyping import Float


def sincos(grid: tuple[int, int], width: int) -> Float[np.ndarray, "patches width"]:
    """Sines and cosines of the place of each patch in row-major order, as AIMv2 adds them.

    A patch in row r and column c has [sin(c w), cos(c w), sin(r w), cos(r w)] with the `width` / 4
    frequencies w_i = 10000^(-4 i / width).
    """
    frequencies = 10_000.0 ** (-np.arange(width // 4) / (width // 4))
    row, column = np.unravel_index(np.arange(grid[0] * grid[1]), grid)
    angles = [places[:, None] * frequencies[None] for places in (column, row)]
    return np.concatenate([f(a) for a in angles for f in (np.sin, np.cos)], axis=1)
