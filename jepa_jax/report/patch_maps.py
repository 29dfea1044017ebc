"""Where the volume comes from: the maps of the patches' shares, small enough for the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# All maps together, a byte a patch: 4/3 of it in base64 leaves room for rows and pictures.
MOST_BYTES = 3_000_000


def pack_maps(
    maps: Mapping[int, np.ndarray], rows: Sequence[int], count: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The maps of `rows`, most needed first, as columns of `count` rows, and what is known of all.

    A share is stored relative to an equal one (1: the patch has what it would have were all alike)
    as a byte, 255 the largest of its map, to within a part in 500 of that. The columns: `map_start`
    (the place of a map in `maps` plus 1, 0 for none), `map_rows`, `map_columns`, `map_top` (what
    255 is). Maps beyond `MOST_BYTES` are left out, as are those that are not finite.

    Known of all: `count`, and `top`, what 99 of 100 patches of all maps stay below.
    """
    start = np.zeros(count, np.uint32)
    sides = np.zeros((2, count), np.uint32)
    tops = np.zeros(count, np.float32)
    parts: list[np.ndarray] = []
    used, kept = 0, []
    for row in rows:
        shares = np.asarray(maps.get(row, ()), np.float64)
        if shares.ndim != 2 or not np.isfinite(shares).all() or not shares.sum() > 0:
            continue
        if used + shares.size > MOST_BYTES:
            break
        # A share is no less than 0 but for rounding.
        relative = np.maximum(shares, 0) / shares.mean()
        start[row], tops[row] = used + 1, relative.max()
        sides[:, row] = shares.shape
        parts.append(np.round(255 * relative / relative.max()).astype(np.uint8).ravel())
        kept.append(relative.ravel())
        used += shares.size
    if not parts:
        return {}, {"count": 0, "top": 0.0}
    columns = {
        "map_start": start,
        "map_rows": sides[0],
        "map_columns": sides[1],
        "map_top": tops,
        "maps": np.concatenate(parts),
    }
    top = float(np.quantile(np.concatenate(kept), 0.99))
    return columns, {"count": len(parts), "top": max(1.5, round(top, 1))}
