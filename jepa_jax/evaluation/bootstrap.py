"""Bootstrap intervals of detection figures, the same resamples for every method."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jepa_jax.evaluation.metrics import DetectionMetrics, detection_metrics, labelled

# Elements of one block of resamples x images: bounds the memory.
_BLOCK = 2**21


class Interval(NamedTuple):
    """`low` and `high` end.

    >>> from jepa_jax.evaluation import Interval
    >>> low, high = Interval(0.82, 0.86)
    >>> low < 0.84 < high
    True
    """

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Resamples:
    """How often each inlier and each outlier is drawn in every bootstrap resample.

    Stratified: every resample has as many inliers and as many outliers as there are. One
    `Resamples` serves all methods on the same images, so that their *differences* are paired.

    >>> from jepa_jax.evaluation import Resamples
    >>> drawn = Resamples.draw(inliers=3, outliers=2, count=100)
    >>> drawn.inliers.shape, set(drawn.outliers.sum(1).tolist())
    ((100, 3), {2})
    """

    inliers: Int[np.ndarray, "b n"]
    outliers: Int[np.ndarray, "b m"]

    @classmethod
    def draw(cls, inliers: int, outliers: int, count: int = 1000, seed: int = 0) -> "Resamples":
        """`count` resamples of so many images."""
        if count < 1:
            raise ValueError(f"`count` must be at least 1, got {count}")
        rng = np.random.default_rng(seed)
        counts = (rng.multinomial(n, np.full(n, 1 / n), size=count) for n in (inliers, outliers))
        return cls(*(c.astype(np.int32) for c in counts))


def resampled_metrics(
    inliers: Float[np.ndarray, " n"], outliers: Float[np.ndarray, " m"], resamples: Resamples
) -> Float[np.ndarray, "b 5"]:
    """`detection_metrics` of every resample, in the order of `DetectionMetrics`.

    All at once: scores are sorted once, a resample only changes their weights.
    """
    values, inside = labelled(inliers, outliers)
    order = np.argsort(-values, kind="stable")
    # The last place of each run of equal scores: thresholds accept all of a tie or none.
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    count = len(resamples.inliers)
    block = max(1, _BLOCK // len(values))
    return np.concatenate(
        [
            _figures(
                np.concatenate(
                    [resamples.inliers[i : i + block], resamples.outliers[i : i + block]], 1
                )[:, order],
                inside[order],
                ends,
            )
            for i in range(0, count, block)
        ]
    )


def _figures(weights: np.ndarray, inside: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Figures (B, 5) from the weights (B, N) of images in the order of falling scores."""
    accepted_in = np.cumsum(weights * inside, 1)[:, ends].astype(np.float64)
    accepted_out = np.cumsum(weights * ~inside, 1)[:, ends].astype(np.float64)
    total_in, total_out = accepted_in[:, -1:], accepted_out[:, -1:]
    # Rejected: everything below each threshold, from the lowest score up.
    rejected_out = (total_out - _before(accepted_out))[:, ::-1]
    rejected_in = (total_in - _before(accepted_in))[:, ::-1]
    tpr, fpr = accepted_in / total_in, accepted_out / total_out
    area = (np.diff(fpr, axis=1, prepend=0) * (tpr + _before(tpr)) / 2).sum(1)
    return np.stack(
        [
            area,
            _precision_recall_area(accepted_in, accepted_out),
            _precision_recall_area(rejected_out, rejected_in),
            _at_95(tpr, fpr),
            _at_95(rejected_out / total_out, rejected_in / total_in),
        ],
        axis=1,
    )


def _before(sums: np.ndarray) -> np.ndarray:
    """Cumulative sums up to, and without, each place."""
    return np.pad(sums[:, :-1], ((0, 0), (1, 0)))


def _precision_recall_area(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Under the curve that starts at recall 0, precision 1."""
    found = true + false
    precision = np.divide(true, found, out=np.ones_like(true), where=found > 0)
    recall = true / true[:, -1:]
    before = np.pad(precision[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    return (np.diff(recall, axis=1, prepend=0) * (precision + before) / 2).sum(1)


def _at_95(tpr: np.ndarray, fpr: np.ndarray) -> np.ndarray:
    """The false positive rate of the first threshold of true positive rate .95."""
    return np.take_along_axis(fpr, (tpr >= 0.95).argmax(1)[:, None], 1)[:, 0]


@dataclasses.dataclass(frozen=True)
class Assessment:
    """`metrics`, the percentile `intervals` of each, and the figures of every resample (B, 5).

    >>> import numpy as np
    >>> from jepa_jax.evaluation import assess
    >>> found = assess(np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0]), resamples=50)
    >>> found.metrics.auroc, found.intervals["auroc"], found.resampled.shape
    (1.0, Interval(low=1.0, high=1.0), (50, 5))
    """

    metrics: DetectionMetrics
    intervals: dict[str, Interval]
    resampled: Float[np.ndarray, "b 5"]


def assess(
    inliers: Float[np.ndarray, " n"],
    outliers: Float[np.ndarray, " m"],
    *,
    resamples: Resamples | int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Assessment:
    """`detection_metrics` with stratified percentile bootstrap intervals.

    Inliers and outliers are resampled apart; the detector and what it was fitted on stay as they
    are, so the intervals speak of other test images, not of another reference set.
    `resamples`: a number, or `Resamples` shared with other methods. `confidence` in (0, 1).

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    Cost: one sort, and resamples x images additions.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import assess
    >>> rng = np.random.default_rng(0)
    >>> found = assess(rng.normal(1, 1, 200), rng.normal(0, 1, 200))
    >>> low, high = found.intervals["auroc"]
    >>> low < found.metrics.auroc < high
    True
    """
    check_confidence(confidence)
    if isinstance(resamples, int):
        resamples = Resamples.draw(len(inliers), len(outliers), resamples, seed)
    sizes = (resamples.inliers.shape[1], resamples.outliers.shape[1])
    if sizes != (len(inliers), len(outliers)):
        raise ValueError(
            f"`resamples` is of {sizes[0]} inliers and {sizes[1]} outliers, "
            f"got {len(inliers)} and {len(outliers)}"
        )
    metrics = detection_metrics(inliers, outliers)
    resampled = resampled_metrics(inliers, outliers, resamples)
    return Assessment(metrics, intervals_of(resampled, confidence), resampled)


def check_confidence(confidence: float) -> None:
    """Raises `ValueError` outside of (0, 1)."""
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be in (0, 1), got {confidence}")


def intervals_of(resampled: Float[np.ndarray, "b 5"], confidence: float) -> dict[str, Interval]:
    """Percentile intervals of resampled figures, or of their differences between two methods."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0).tolist()
    return {
        name: Interval(*ends)
        for name, ends in zip(DetectionMetrics._fields, zip(low, high, strict=True), strict=True)
    }
