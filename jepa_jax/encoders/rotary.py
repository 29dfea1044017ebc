"""Rotary positions, after arXiv 2104.09864: in two dimensions as DINOv3 has them (2508.10104), and
in time and two as V-JEPA 2 (2506.09985) and 2.1 (2603.14482)."""

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
    x: Float[Array, "h t d"],
    grid: tuple[int, int, int],
    base: float,
    spread: int | None = None,
) -> Float[Array, "h t d"]:
    """Queries or keys of every head by the tubelet, row and column of their patch on the `grid`.

    Of d channels three groups of s = 2 floor(d / 6) turn by tubelet, row and column; what is left
    stays. In a group, pairs of neighbours (2j, 2j + 1) become
    (c_2j a - s_2j b, c_(2j+1) b + s_(2j+1) a), with c_i and s_i the cosine and sine of
    base^(-2 (i mod s/2) / s) times the place: two angles a pair, so that it is no rotation. So it
    is in V-JEPA 2's code, and what its weights were trained with.

    With `spread`, as in V-JEPA 2.1, both channels of pair j have the angle of base^(-2 j / s): a
    rotation. And rows and columns are spread over a grid of that side: row i of N is at
    i (spread - 1) / (N - 1).
    """
    size = 2 * (x.shape[-1] // 6)
    frequencies = float(base) ** (-2 * np.arange(size // 2) / size)
    tubelet, *within = np.unravel_index(np.arange(x.shape[1]), grid)
    if spread is not None:
        within = [i * ((spread - 1) / (n - 1)) for i, n in zip(within, grid[1:], strict=True)]
    parts = []
    for i, places in enumerate((tubelet, *within)):
        angles = places[:, None] * frequencies[None]
        angles = np.tile(angles, 2) if spread is None else np.repeat(angles, 2, axis=1)
        cos, sin = (jnp.asarray(f(angles), x.dtype)[None] for f in (np.cos, np.sin))
        part = x[..., i * size : (i + 1) * size]
        pairs = part.reshape(*part.shape[:-1], -1, 2)
        turned = jnp.stack([-pairs[..., 1], pairs[..., 0]], axis=-1).reshape(part.shape)
        parts.append(part * cos + turned * sin)
    return jnp.concatenate([*parts, x[..., 3 * size :]], axis=-1)
