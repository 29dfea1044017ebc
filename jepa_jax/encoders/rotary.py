"""Rotary positions, after arXiv 2104.09864: in two dimensions as DINOv3 has them (2508.10104), and
in time and two as V-JEPA 2 (2506.09985)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def rotate(
    x: Float[Array, "h t d"], prefix: int, grid: tuple[int, int], base: float
) -> Float[Array, "h t d"]:
    """Queries or keys of every head, those of patches rotated by their place on the `grid`.

    Patch i of N along an axis is at 2 (i + 1/2) / N - 1. Channels j and j + d/2 turn together, by
    2 pi base^(-4 i / d) times the place: i = j in the vertical for j < d/4, i = j - d/4 in the
    horizontal for the others. The first `prefix` tokens (CLS, registers) stay; x may be of the
    prefix alone.
    """
    if x.shape[1] <= prefix:
        return x
    angles = patch_angles(grid, x.shape[-1], base)
    cos, sin = (jnp.asarray(f(angles), x.dtype)[None] for f in (np.cos, np.sin))
    first, second = jnp.split(x[:, prefix:], 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate([x[:, :prefix], jnp.concatenate(turned, axis=-1)], axis=1)


def patch_angles(grid: tuple[int, int], size: int, base: float) -> np.ndarray:
    """The angles by which patches in row-major order are turned: (patches, size / 2), radians."""
    # float32 as in the reference, and no further rounding.
    frequencies = 1 / np.float32(base) ** np.arange(0, 1, 4 / size, dtype=np.float32)
    places = [2 * np.arange(0.5, n, dtype=np.float32) / np.float32(n) - np.float32(1) for n in grid]
    both = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, 2, 1)
    angles = 2 * np.pi * both.astype(np.float64) * frequencies.astype(np.float64)
    return angles.reshape(both.shape[0], size // 2)


def rotate_in_time(
    x: Float[Array, "h t d"], prefix: int, grid: tuple[int, int], base: float
) -> Float[Array, "h t d"]:
    """Queries or keys of every head by the frame, row and column of their patch.

    The `grid` is of squares, one below the other, one a frame. Of d channels three groups of
    s = 2 floor(d / 6) turn by frame, row and column; what is left stays. In a group, pairs of
    neighbours (2j, 2j + 1) become (c_2j a - s_2j b, c_(2j+1) b + s_(2j+1) a), with c_i and s_i the
    cosine and sine of base^(-2 (i mod s/2) / s) times the place: two angles a pair, so that it is
    no rotation. So it is in V-JEPA 2's code, and what its weights were trained with. There is no
    `prefix` of other tokens.
    """
    assert not prefix
    rows, side = grid
    size = 2 * (x.shape[-1] // 6)
    frame, row, column = np.unravel_index(np.arange(rows * side), (rows // side, side, side))
    frequencies = float(base) ** (-2 * np.arange(size // 2) / size)
    parts = []
    for i, places in enumerate((frame, row, column)):
        angles = np.tile(places[:, None] * frequencies[None], 2)
        cos, sin = (jnp.asarray(f(angles), x.dtype)[None] for f in (np.cos, np.sin))
        part = x[..., i * size : (i + 1) * size]
        pairs = part.reshape(*part.shape[:-1], -1, 2)
        turned = jnp.stack([-pairs[..., 1], pairs[..., 0]], axis=-1).reshape(part.shape)
        parts.append(part * cos + turned * sin)
    return jnp.concatenate([*parts, x[..., 3 * size :]], axis=-1)
