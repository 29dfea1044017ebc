"""How far one quantity follows the order of another: with its interval, and in plain words."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau, rankdata

# Of the normal distribution: 95 % lie within.
_Z = 1.959964


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Spearman's correlation of `count` pairs, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float
    count: int


def spearman(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Correlation | None:
    """Pearson's correlation of the ranks, equal values having their mean rank.

    The interval is tanh(artanh(r) +- 1.96 sqrt((1 + r^2 / 2) / (n - 3))). Pairs with a value that
    is not finite are left out; None where fewer than 3 are left, or all values of one are equal.

    Source: Bonett and Wright, Psychometrika 65, 2000, the standard error of their equation 3.

    >>> found = spearman(np.arange(103.0), np.arange(103.0)[::-1] ** 3)
    >>> found.value, found.low, found.high
    (-1.0, -1.0, -1.0)
    """
    x, y = _both(x, y)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    value = float(np.clip(np.corrcoef(rankdata(x), rankdata(y))[0, 1], -1, 1))
    # Rounding of the product, 1e-16 a rank, is no distance from 1.
    value = math.copysign(1.0, value) if 1 - abs(value) < 1e-12 else value
    if len(x) == 3:
        return Correlation(value, -1.0, 1.0, 3)
    if abs(value) == 1:
        return Correlation(value, value, value, len(x))
    reach = _Z * math.sqrt((1 + value**2 / 2) / (len(x) - 3))
    ends = [math.tanh(math.atanh(value) + sign * reach) for sign in (-1, 1)]
    return Correlation(value, ends[0], ends[1], len(x))


def same_order(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Of all pairs that differ in both, the share in which the larger x has the larger y.

    P / (P + Q), of Kendall's numbers of concordant and discordant pairs; .5 for no relation. NaN
    where no pair differs in both. Cost: n log n.

    >>> same_order(np.array([1.0, 2.0, 3.0]), np.array([5.0, 9.0, 7.0]))  # 2 of 3 pairs
    0.6666666666666666
    """
    x, y = _both(x, y)
    pairs = [len(x) * (len(x) - 1) // 2]
    pairs += [_equal_pairs(values) for values in (x, y, np.stack([x, y], 1))]
    every, equal_x, equal_y, equal_both = pairs
    differing = every - equal_x - equal_y + equal_both
    if not differing:
        return math.nan
    # tau-b is (P - Q) / sqrt((every - equal_x) (every - equal_y)).
    tau = np.asarray(kendalltau(x, y), np.float64)[0]
    excess = float(tau) * math.sqrt(every - equal_x) * math.sqrt(every - equal_y)
    return (differing + round(excess)) / 2 / differing


def _both(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    finite = np.isfinite(x) & np.isfinite(y)
    return x[finite], y[finite]


def _equal_pairs(values: np.ndarray) -> int:
    _, counts = np.unique(values, axis=0, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())
