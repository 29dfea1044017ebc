"""Two runs over the same images: whose ranks changed, how much in all, and what is in one alone."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from jepa_jax.report.correlation import Correlation, same_order, spearman
from jepa_jax.store.table import ScoreTable

SHARES = (0.01, 0.05, 0.1, 0.25)


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Of the `count` lowest (or highest) images of the first run, how many are so in the other."""

    share: float
    count: int
    lowest: int
    highest: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Every image of two runs once: the first's in its order, then those of the second alone.

    `first`, `second`: its row in either table, -1 where it is in none. `first_rank`, `second_rank`:
    the share of scores that are lower, in percent, among the images that have a score in both; NaN
    for others. `same`: the share of pairs that both put in the same order.
    """

    ids: list[str]
    first: Int[np.ndarray, " n"]
    second: Int[np.ndarray, " n"]
    first_rank: Float[np.ndarray, " n"]
    second_rank: Float[np.ndarray, " n"]
    correlation: Correlation | None
    same: float
    overlaps: list[Overlap]

    @property
    def change(self) -> Float[np.ndarray, " n"]:
        """How far each image rose, in percent of the images."""
        return self.second_rank - self.first_rank

    @property
    def both(self) -> int:
        """How many images have a score in both."""
        return int(np.isfinite(self.change).sum())


def compare(first: ScoreTable, second: ScoreTable) -> Comparison:
    """The images of both tables, matched by id; of one id in several rows, in their order.

    Raises `ValueError` where no image is in both. Cost: n log n.

    >>> from pathlib import Path
    >>> import pyarrow as pa
    >>> def table(ids, scores):
    ...     rows = {"id": ids, "status": ["ok"] * len(ids), "jepa_score": scores}
    ...     return ScoreTable(Path("scores"), {}, {}, pa.table(rows))
    >>> found = compare(table(list("abc"), [1.0, 2.0, 3.0]), table(list("bad"), [7.0, 9.0, 8.0]))
    >>> found.ids, found.first.tolist(), found.second.tolist(), found.change.tolist()
    (['a', 'b', 'c', 'd'], [0, 1, 2, -1], [1, 0, -1, 2], [100.0, -100.0, nan, nan])
    """
    keys, others = _occurrences(first.ids), _occurrences(second.ids)
    places = {key: row for row, key in enumerate(others)}
    in_second = np.array([places.get(key, -1) for key in keys], int)
    if not (in_second >= 0).any():
        examples = ", ".join(repr(ids[0]) for ids in (first.ids, second.ids) if ids)
        raise ValueError(
            f"no image is in both {first.folder} and {second.folder}: they are matched by id, such "
            f"as {examples}"
        )
    alone = np.setdiff1d(np.arange(len(second)), in_second)
    ids = first.ids + [second.ids[row] for row in alone]
    rows = np.r_[np.arange(len(first)), np.full(len(alone), -1)], np.r_[in_second, alone]
    scores = [_taken(t.scores, r) for t, r in zip((first, second), rows, strict=True)]
    both = np.isfinite(scores[0]) & np.isfinite(scores[1])
    ranks = []
    for values in scores:
        rank = np.full(len(ids), np.nan)
        rank[both] = (rankdata(values[both]) - 1) * 100 / max(1, both.sum() - 1)
        ranks.append(rank)
    one, other = (values[both] for values in scores)
    correlation, same = spearman(one, other), same_order(one, other)
    overlaps = _overlaps(one, other)
    return Comparison(ids, rows[0], rows[1], ranks[0], ranks[1], correlation, same, overlaps)


def _occurrences(ids: Sequence[str]) -> list[tuple[str, int]]:
    """Every id with how many of the rows before have it too."""
    seen: dict[str, int] = {}
    found = []
    for id in ids:
        seen[id] = seen.get(id, -1) + 1
        found.append((id, seen[id]))
    return found


def _taken(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.where(rows >= 0, values[rows], np.nan)


def _overlaps(one: np.ndarray, other: np.ndarray) -> list[Overlap]:
    """For each of `SHARES` that is of another number of images."""
    orders = [np.argsort(values, kind="stable") for values in (one, other)]
    found: dict[int, Overlap] = {}
    for share in SHARES:
        count = round(share * len(one))
        if count:
            low, high = (
                len(np.intersect1d(orders[0][end], orders[1][end]))
                for end in (slice(count), slice(-count, None))
            )
            found.setdefault(count, Overlap(share, count, low, high))
    return list(found.values())
