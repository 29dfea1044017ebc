"""How well scores tell outliers from inliers: five figures, by scikit-learn."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class DetectionMetrics(NamedTuple):
    """Figures of one method on inliers and outliers, scores higher = more typical.

    - `auroc`: the probability that an inlier scores higher than an outlier, ties counted half. The
      same whichever class is called positive.
    - `aupr_in`, `aupr_out`: area under the precision-recall curve, by the trapezoidal rule; of the
      inliers (positive: high scores), and of the outliers (positive: low scores). What guessing
      gives is the positive class's share of the images.
    - `fpr95_in`: inliers positive. The share of *outliers accepted* at the highest threshold that
      accepts at least 95 % of the inliers.
    - `fpr95_out`: outliers positive. The share of *inliers rejected* at the lowest threshold that
      rejects at least 95 % of the outliers.

    Papers call either one "FPR95": Liang et al. (ODIN, arXiv 1706.02690) mean `fpr95_in`, OpenOOD
    from version 1.5 on (arXiv 2306.09301) and pytorch-ood mean `fpr95_out`.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import detection_metrics
    >>> detection_metrics(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    DetectionMetrics(auroc=1.0, aupr_in=1.0, aupr_out=1.0, fpr95_in=0.0, fpr95_out=0.0)
    """

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95_in: float
    fpr95_out: float


def detection_metrics(
    inliers: Float[np.ndarray, " n"], outliers: Float[np.ndarray, " m"]
) -> DetectionMetrics:
    """The figures of scores (higher = more typical) of inliers and of outliers.

    With OpenOOD's definitions: `roc_curve` and `precision_recall_curve` of scikit-learn, the latter
    from the point (recall 0, precision 1) on, areas by `auc`, and FPR95 as the false positive rate
    of the first threshold whose true positive rate is at least .95. One departure: every threshold
    is looked at, where `roc_curve` leaves out by default those on a straight line of the curve;
    among tied scores FPR95 can be lower here.

    Raises `ValueError` on an empty or non-finite array.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import detection_metrics
    >>> figures = detection_metrics(np.array([3.0, 2.0, 1.0, 4.0]), np.array([0.0, 1.5]))
    >>> figures.auroc, figures.fpr95_in, figures.fpr95_out
    (0.875, 0.5, 0.25)
    """
    from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

    values, inside = labelled(inliers, outliers)

    def precision_recall(positive: np.ndarray, scores: np.ndarray) -> float:
        precision, recall, _ = precision_recall_curve(positive, scores)
        return float(auc(recall, precision))

    def fpr95(positive: np.ndarray, scores: np.ndarray) -> float:
        fpr, tpr, _ = roc_curve(positive, scores, drop_intermediate=False)
        return float(fpr[np.argmax(tpr >= 0.95)])

    return DetectionMetrics(
        auroc=float(roc_auc_score(inside, values)),
        aupr_in=precision_recall(inside, values),
        aupr_out=precision_recall(~inside, -values),
        fpr95_in=fpr95(inside, values),
        fpr95_out=fpr95(~inside, -values),
    )


def matched_auroc(
    inliers: Float[np.ndarray, " n"],
    outliers: Float[np.ndarray, " m"],
    inliers_by: Float[np.ndarray, " n"],
    outliers_by: Float[np.ndarray, " m"],
    *,
    bins: int = 4,
) -> float:
    """The AUROC among images alike in something else, such as their complexity.

    `inliers_by` and `outliers_by` (JPEG bits per pixel, say) are cut at the `bins` quantiles of
    both together, and each bin's AUROC weighs as many pairs as it has: the probability that an
    inlier scores higher than an outlier *of its bin*. What the other quantity alone would tell
    apart is taken off, but for what is left of it within a bin. NaN where no bin has both.

    Raises `ValueError` on arrays that do not fit, and on non-finite ones.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import matched_auroc
    >>> size_in, size_out = np.array([1.0, 1, 1, 9]), np.array([1.0, 9, 9, 9])
    >>> matched_auroc(size_in, size_out, size_in, size_out, bins=2)  # The size itself
    0.5
    """
    from scipy.stats import rankdata
    from sklearn.metrics import roc_auc_score

    for name, scores, by in (("inliers", inliers, inliers_by), ("outliers", outliers, outliers_by)):
        if np.shape(scores) != np.shape(by) or not np.isfinite(by).all():
            raise ValueError(
                f"`{name}_by` must be finite, one number for each of {np.shape(scores)} {name}, "
                f"got shape {np.shape(by)}"
            )
    values, inside = labelled(inliers, outliers)
    # Equal ones stay together, where most of them belong.
    ranks = rankdata(np.concatenate([inliers_by, outliers_by]))
    place = ((ranks - 0.5) / len(ranks) * bins).astype(int)
    found, weight = 0.0, 0
    for each in range(bins):
        own = place == each
        pairs = int(inside[own].sum()) * int((~inside[own]).sum())
        if pairs:
            found += pairs * float(roc_auc_score(inside[own], values[own]))
            weight += pairs
    return found / weight if weight else float("nan")


def labelled(inliers: np.ndarray, outliers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All scores as float64, and which of them are inliers'; raises on what is no score."""
    for name, scores in (("inliers", inliers), ("outliers", outliers)):
        if np.ndim(scores) != 1 or not len(scores):
            raise ValueError(f"`{name}` must be scores (N,), N >= 1, got {np.shape(scores)}")
        if not np.isfinite(scores).all():
            bad = int((~np.isfinite(scores)).sum())
            raise ValueError(f"`{name}` must be finite scores, {bad} of {len(scores)} are not")
    values = np.concatenate([inliers, outliers]).astype(np.float64)
    return values, np.repeat([True, False], [len(inliers), len(outliers)])
