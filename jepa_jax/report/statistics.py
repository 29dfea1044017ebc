"""What a report's charts and tables show: distributions, classes, relations, failures."""

import dataclasses
import re
from collections import Counter

import numpy as np

from jepa_jax.report.correlation import spearman
from jepa_jax.report.thumbnails import HIGHEST_OF_A_CLASS, LOWEST_OF_A_CLASS

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Counts of scores between `edges`, both ends' bins included; `std_errors`: each bin's median.

    The first and last bins also hold what lies farther out, where `low_open` or `high_open`.
    """

    edges: list[float]
    counts: list[int]
    std_errors: list[float]
    low_open: bool
    high_open: bool


@dataclasses.dataclass(frozen=True)
class ClassSummary:
    """A class: its images, score quantiles at LEVELS, and its extreme rows.

    `shift`: its median less that of all scores, in standard deviations of all scores (robust: the
    interquartile range over 1.349).
    """

    label: str
    count: int
    failed: int
    quantiles: list[float]
    shift: float
    lowest: list[int]
    highest: list[int]


@dataclasses.dataclass(frozen=True)
class Relation:
    """The score against another quantity: Spearman's correlation with its 95 % interval, and the
    scores in tenths of the quantity.

    `tenths`: (from, to, images, median score, lower and upper quartile, median quantity).
    `logarithmic`: whether a chart of it is.
    """

    name: str
    title: str
    unit: str
    spearman: float
    interval: tuple[float, float]
    count: int
    tenths: list[tuple[float, float, int, float, float, float, float]]
    grid: dict[str, list] | None
    logarithmic: bool = True


@dataclasses.dataclass(frozen=True)
class Failure:
    """Failures of one kind: how many, and an example's error and rows."""

    status: str
    kind: str
    count: int
    example: str
    rows: list[int]


def histogram(scores: np.ndarray, std_errors: np.ndarray) -> Histogram | None:
    """The distribution of the finite scores: bins by Freedman and Diaconis, 12 to 60 of them.

    Scores farther than four interquartile ranges from the quartiles are in the end bins.
    """
    finite = np.isfinite(scores)
    values, errors = scores[finite], np.nan_to_num(std_errors[finite])
    if not len(values):
        return None
    low, high = _range(values)
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 2 * (quartiles[1] - quartiles[0]) / len(values) ** (1 / 3)
    bins = int(np.clip((high - low) / width if width > 0 else 12, 12, 60))
    edges = np.linspace(low, high, bins + 1)
    which = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    order = np.split(np.argsort(which, kind="stable"), np.cumsum(counts)[:-1])
    medians = [float(np.median(errors[rows])) if len(rows) else 0.0 for rows in order]
    return Histogram(
        edges.tolist(),
        counts.tolist(),
        medians,
        bool(values.min() < low),
        bool(values.max() > high),
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis that a few far values do not stretch."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    reach = 4 * (upper - lower)
    low, high = max(values.min(), lower - reach), min(values.max(), upper + reach)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return float(low), float(high)


def classes(scores: np.ndarray, labels: np.ndarray) -> list[ClassSummary]:
    """Every class from the lowest median score on; classes without a score come last."""
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    finite = np.isfinite(scores)
    middle, spread = _middle_and_spread(scores[finite])
    total = np.bincount(codes, minlength=len(names))
    order = np.lexsort((scores, codes))
    order = order[finite[order]]
    counts = np.bincount(codes[order], minlength=len(names))
    summaries = []
    for code, rows in enumerate(np.split(order, np.cumsum(counts)[:-1])):
        values = scores[rows]
        quantiles = np.quantile(values, LEVELS).tolist() if len(rows) else []
        summaries.append(
            ClassSummary(
                str(names[code]),
                int(total[code]),
                int(total[code] - len(rows)),
                quantiles,
                (quantiles[2] - middle) / spread if len(rows) and spread else 0.0,
                rows[:LOWEST_OF_A_CLASS].tolist(),
                rows[::-1][:HIGHEST_OF_A_CLASS].tolist(),
            )
        )
    return sorted(summaries, key=lambda c: c.quantiles[2] if c.quantiles else np.inf)


def _middle_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Median, and interquartile range / 1.349: a standard deviation that outliers do not move."""
    if not len(values):
        return 0.0, 0.0
    lower, middle, upper = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float(upper - lower) / 1.349


def relation(
    name: str,
    title: str,
    unit: str,
    values: np.ndarray,
    scores: np.ndarray,
    logarithmic: bool = True,
    points: int = 2000,
) -> Relation | None:
    """The score against `values`; None where fewer than three rows have both, or all are equal.

    With more rows than `points` it holds a grid of counts for a chart; where that is `logarithmic`,
    the rows whose value is not above 0 are not in it.
    """
    both = np.isfinite(values) & np.isfinite(scores)
    x, y = values[both], scores[both]
    if len(x) < 3 or np.ptp(x) == 0:
        return None
    found = spearman(x, y)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, 11)))
    which = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    tenths = []
    for tenth in range(len(edges) - 1):
        inside = which == tenth
        if inside.any():
            lower, middle, upper = np.quantile(y[inside], [0.25, 0.5, 0.75]).tolist()
            low, high = float(edges[tenth]), float(edges[tenth + 1])
            at = float(np.median(x[inside]))
            tenths.append((low, high, int(inside.sum()), middle, lower, upper, at))
    charted = x > 0 if logarithmic else np.full(len(x), True)
    grid = None
    if len(x) > points and charted.any():
        grid = _grid(np.log(x[charted]) if logarithmic else x[charted], y[charted])
    value, interval = (found.value, (found.low, found.high)) if found else (0.0, (0.0, 0.0))
    return Relation(name, title, unit, value, interval, len(x), tenths, grid, logarithmic)


def _grid(x: np.ndarray, y: np.ndarray) -> dict[str, list]:
    """Counts on 60 x 36 cells, those that hold something: (column, row, count)."""
    (left, right), (low, high) = _range(x), _range(y)
    inside = [np.clip(x, left, right), np.clip(y, low, high)]
    counts, _, _ = np.histogram2d(*inside, bins=(60, 36), range=((left, right), (low, high)))
    cells = np.argwhere(counts)
    values = counts[counts > 0].astype(int)
    return {"range": [left, right, low, high], "cells": np.c_[cells, values].tolist()}


def failures(status: np.ndarray, errors: list[str | None], scored: np.ndarray) -> list[Failure]:
    """Rows without a score, by status and kind of error, the most frequent first."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for row in np.flatnonzero(~scored).tolist():
        kinds.setdefault((str(status[row]), error_kind(errors[row] or "")), []).append(row)
    found = [
        Failure(status, kind, len(rows), errors[rows[0]] or "", rows)
        for (status, kind), rows in kinds.items()
    ]
    return sorted(found, key=lambda failure: (-failure.count, failure.kind))


def error_kind(error: str) -> str:
    """An error without what differs from image to image: its numbers, quotes and remarks.

    >>> error_kind("UnreadableImage: truncated JPEG file (image file is truncated (35 bytes))")
    'truncated JPEG file'
    >>> error_kind("FileNotFoundError: [Errno 2] No such file or directory: 'a/b.jpg'")
    'no such file or directory'
    """
    text = re.sub(r"^\w+(Error|Image): ", "", error)
    text = re.sub(r"\[Errno \d+\] ", "", text)
    text = re.sub(r"\(.*\)|\(.*$", "", text, flags=re.DOTALL)
    text = re.sub(r"b?(['\"]).*?\1", "…", text, flags=re.DOTALL)
    text = re.sub(r"\d+", "#", text)
    text = re.sub(r"\s+", " ", text).strip(" :;,…")
    return text[:1].lower() + text[1:] or error.partition(":")[0] or "no reason given"


def repeated_scores(scores: np.ndarray, fewest: int = 3) -> list[tuple[float, int]]:
    """Scores that `fewest` rows or more share to the last digit, the most frequent first.

    Images alike to the pixel after preprocessing have the same score: copies, blank images.
    """
    counts = Counter(scores[np.isfinite(scores)].tolist())
    return [(score, count) for score, count in counts.most_common(100) if count >= fewest]
