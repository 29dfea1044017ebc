"""Which rows to take: by rank, by value, by distance from the median; pure functions on arrays."""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float


@dataclasses.dataclass(frozen=True)
class Amount:
    """How many rows: a `count` of them, or a `share` of those with a score, rounded up.

    Raises `ValueError` unless exactly one is given, the count at least 1, the share in (0, 1].

    >>> Amount(count=500).of(100), Amount.parse("1%").of(250)
    (100, 3)
    """

    count: int | None = None
    share: Fraction | None = None

    def __post_init__(self):
        if (self.count is None) == (self.share is None):
            raise ValueError("an amount is a `count` or a `share`")
        if self.count is not None and self.count < 1:
            raise ValueError(f"`count` must be at least 1, got {self.count}")
        if self.share is not None and not 0 < self.share <= 1:
            raise ValueError(f"`share` must be above 0 and at most 1, got {self.share}")

    @classmethod
    def parse(cls, text: str) -> "Amount":
        """'500' is a count; '1%' and '0.01' are shares, exact as decimals.

        >>> Amount.parse("7%").of(100), Amount.parse("0.5%").of(300), Amount.parse("9").of(4)
        (7, 2, 4)
        """
        try:
            if text.isdigit():
                return cls(count=int(text))
            if text.endswith("%"):
                return cls(share=Fraction(text[:-1].strip()) / 100)
            return cls(share=Fraction(text))
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(
                f"expected a number of images such as '500' or a share such as '1%', got {text!r}"
            ) from error

    def of(self, total: int) -> int:
        """The number of rows out of `total`; never more than there are."""
        if self.share is not None:
            return math.ceil(self.share * total)
        assert self.count is not None
        return min(self.count, total)


@dataclasses.dataclass(frozen=True)
class Bottom:
    """The lowest scores, the least typical images. Of equal scores, the earlier rows.

    >>> select(np.array([1.0, 9.0, 0.5, 2.0]), Bottom(Amount(count=2))).tolist()
    [True, False, True, False]
    """

    amount: Amount

    def choose(self, scores: np.ndarray) -> np.ndarray:
        return _first(np.argsort(scores, kind="stable"), self.amount)


@dataclasses.dataclass(frozen=True)
class Top:
    """The highest scores, the most typical images. Of equal scores, the earlier rows.

    >>> select(np.array([1.0, 9.0, 0.5, 2.0]), Top(Amount(count=1))).tolist()
    [False, True, False, False]
    """

    amount: Amount

    def choose(self, scores: np.ndarray) -> np.ndarray:
        return _first(np.argsort(-scores, kind="stable"), self.amount)


@dataclasses.dataclass(frozen=True)
class TwoSided:
    """The scores farthest from the median, on either side: max |score - median|.

    >>> select(np.array([1.0, 9.0, 0.5, 2.0]), TwoSided(Amount(count=1))).tolist()
    [False, True, False, False]
    """

    amount: Amount

    def choose(self, scores: np.ndarray) -> np.ndarray:
        distance = np.abs(scores - np.median(scores)) if len(scores) else scores
        return _first(np.argsort(-distance, kind="stable"), self.amount)


@dataclasses.dataclass(frozen=True)
class Between:
    """The scores from `low` to `high`, both included. Raises `ValueError` where low > high.

    >>> select(np.array([1.0, 9.0, 0.5, 2.0]), Between(1.0, 2.5)).tolist()
    [True, False, False, True]
    """

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self):
        if not self.low <= self.high:
            raise ValueError(f"`low` must not be above `high`, got {self.low} and {self.high}")

    def choose(self, scores: np.ndarray) -> np.ndarray:
        return (scores >= self.low) & (scores <= self.high)


@dataclasses.dataclass(frozen=True)
class Outside:
    """The scores below `low` or above `high`, neither included.

    >>> select(np.array([1.0, 9.0, 0.5, 2.0]), Outside(low=1.0, high=9.0)).tolist()
    [False, False, True, False]
    """

    low: float = -math.inf
    high: float = math.inf

    def choose(self, scores: np.ndarray) -> np.ndarray:
        return (scores < self.low) | (scores > self.high)


Rule = Bottom | Top | TwoSided | Between | Outside


def select(
    scores: Float[np.ndarray, " n"],
    rule: Rule,
    *,
    labels: Sequence[str] | np.ndarray | None = None,
    among: Bool[np.ndarray, " n"] | None = None,
) -> Bool[np.ndarray, " n"]:
    """Which rows `rule` takes, as a mask: of all rows with a score, or within each label.

    Rows whose score is NaN are never taken and never counted. `labels`: the rule is applied to each
    label by itself (its own share, its own median). `among`: only these rows are considered. Cost:
    one sort. Raises `ValueError` where lengths differ.

    >>> scores = np.array([3.0, 1.0, np.nan, 2.0, 9.0])
    >>> select(scores, Bottom(Amount(count=2))).nonzero()[0].tolist()
    [1, 3]
    >>> select(scores, Bottom(Amount(count=1)), labels=list("aabbb")).nonzero()[0].tolist()
    [1, 3]
    """
    scores = np.asarray(scores, np.float64)
    considered = np.isfinite(scores)
    if among is not None:
        if len(among) != len(scores):
            raise ValueError(f"`among` must have {len(scores)} entries, got {len(among)}")
        considered = considered & among
    chosen = np.zeros(len(scores), bool)
    for rows in _groups(considered, labels):
        chosen[rows] = rule.choose(scores[rows])
    return chosen


def _groups(considered: np.ndarray, labels: Sequence[str] | np.ndarray | None) -> list[np.ndarray]:
    """The rows considered, in order, split by label."""
    rows = np.flatnonzero(considered)
    if labels is None:
        return [rows]
    if len(labels) != len(considered):
        raise ValueError(f"`labels` must have {len(considered)} entries, got {len(labels)}")
    _, codes = np.unique(np.asarray(labels, dtype=str)[rows], return_inverse=True)
    order = np.argsort(codes, kind="stable")
    return np.split(rows[order], np.cumsum(np.bincount(codes))[:-1]) if len(rows) else []


def _first(order: np.ndarray, amount: Amount) -> np.ndarray:
    """The mask of the first so many of `order`."""
    chosen = np.zeros(len(order), bool)
    chosen[order[: amount.of(len(order))]] = True
    return chosen
