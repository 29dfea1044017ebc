"""A threshold fitted on the scores of other images, with its false-positive rate."""

import math
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from jepa_jax.report.selection import Outside
from jepa_jax.store.manifest import incomparable_settings
from jepa_jax.store.table import ScoreTable

Side = Literal["low", "high", "both"]


def fit_outside(reference: np.ndarray, rate: Fraction | float, side: Side = "low") -> Outside:
    """The bounds that images like the reference's leave at most at the `rate`.

    `low`: scores below the k-th lowest of the n reference scores, k = floor(rate (n + 1)). For a
    new image exchangeable with the reference's, P(outside) <= rate, whatever their distribution
    (split conformal prediction: Vovk et al., "Algorithmic Learning in a Random World", 2005; Bates
    et al., arXiv 2104.08279). `high`: the mirror image; `both`: half of the rate on each side.

    Raises `ValueError` where `rate` is not in (0, 1), or n too small for it: k would be 0.

    >>> fit_outside(np.arange(99.0), 0.05)
    Outside(low=4.0, high=inf)
    """
    rate = Fraction(str(rate)) if isinstance(rate, float) else Fraction(rate)
    if not 0 < rate < 1:
        raise ValueError(f"the false-positive rate must be above 0 and below 1, got {float(rate)}")
    if side not in ("low", "high", "both"):
        raise ValueError(f"`side` must be 'low', 'high' or 'both', got {side!r}")
    scores = np.sort(reference[np.isfinite(reference)])
    tail = rate / 2 if side == "both" else rate
    k = math.floor(tail * (len(scores) + 1))
    if k < 1:
        needed = math.ceil(1 / tail) - 1
        raise ValueError(
            f"a false-positive rate of {float(rate):g} ({side}) needs at least {needed} scores of "
            f"reference images, got {len(scores)}"
        )
    return Outside(
        low=float(scores[k - 1]) if side != "high" else -math.inf,
        high=float(scores[-k]) if side != "low" else math.inf,
    )


def check_comparable(scores: ScoreTable, reference: ScoreTable) -> None:
    """Raises `ValueError` listing the settings under which the two folders' scores differ."""
    changed = incomparable_settings(scores.settings, reference.settings)
    if changed:
        raise ValueError(
            f"{reference.folder} cannot be a reference for {scores.folder}: their scores were made "
            "with other settings\n  "
            + "\n  ".join(
                f"{key}: {mine!r} here, {theirs!r} in the reference"
                for key, (mine, theirs) in changed.items()
            )
        )


def shared_ids(scores: ScoreTable, reference: ScoreTable) -> int:
    """How many images are in both folders, by source and id: the rate does not hold for those."""
    keys = [
        set(zip(table.rows["source"].to_pylist(), table.ids, strict=True))
        for table in (scores, reference)
    ]
    return len(keys[0] & keys[1])


def describe(bounds: Outside) -> str:
    """The bounds in words."""
    parts: list[Any] = []
    if math.isfinite(bounds.low):
        parts.append(f"below {bounds.low:.6g}")
    if math.isfinite(bounds.high):
        parts.append(f"above {bounds.high:.6g}")
    return " or ".join(parts)
