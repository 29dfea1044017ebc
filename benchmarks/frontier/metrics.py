"""Figures of merit of estimated scores against exact ones, all in NumPy."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import kendalltau, spearmanr

from jepa_jax.evaluation import detection_metrics


def auroc_of(typical: np.ndarray, other: np.ndarray) -> float:
    """The probability that one of `typical` scores higher than one of `other`."""
    return detection_metrics(typical, other).auroc


def assess(
    estimate: np.ndarray,
    exact: np.ndarray,
    group: np.ndarray,
    inside: str,
    std_error: np.ndarray | None = None,
    centred: bool = False,
) -> dict[str, float]:
    """Errors of `estimate` (nats), in distribution (`group == inside`) and over all images.

    `bias` and `sd` of the error and `coverage` of `std_error` in distribution; `sd_share` is `sd`
    over the exact score's. `rmse` over all images. `largest_shift`: of a group's mean error from
    the one in distribution, in units of the score's sd. `largest_auroc_shift`: of a group's AUROC.
    `centred`: coverage of the error less its mean, for a `std_error` that is the random error's.
    """
    estimate, exact = np.asarray(estimate, np.float64), np.asarray(exact, np.float64)
    error, here = estimate - exact, group == inside
    spread, bias = exact[here].std(), error[here].mean()
    others = [group == name for name in np.unique(group) if name != inside]
    shifts = [abs(error[g].mean() - bias) / spread for g in others]
    auroc_shifts = [
        abs(auroc_of(estimate[here], estimate[g]) - auroc_of(exact[here], exact[g])) for g in others
    ]
    off = np.abs(error - bias if centred else error)[here]

    def covered(z: float) -> float:
        if std_error is None or np.isnan(std_error).all():  # A single probe knows no error.
            return math.nan
        return float((off <= z * np.asarray(std_error)[here]).mean())

    return {
        "bias": float(bias),
        "sd": float(error[here].std()),
        "sd_share": float(error[here].std() / spread),
        "spearman": float(spearmanr(estimate[here], exact[here]).statistic),
        "spearman_pooled": float(spearmanr(estimate, exact).statistic),
        "kendall": float(kendalltau(estimate[here], exact[here]).statistic),
        "kendall_pooled": float(kendalltau(estimate, exact).statistic),
        "rmse": float(np.sqrt(np.square(error).mean())),
        "coverage_1": covered(1),
        "coverage_1.96": covered(1.96),
        "largest_shift": float(max(shifts, default=math.nan)),
        "largest_auroc_shift": float(max(auroc_shifts, default=math.nan)),
    }


def stated_errors(
    first: np.ndarray,
    second: np.ndarray,
    exact: np.ndarray,
    std_error: np.ndarray,
    bias_bound: np.ndarray,
    two_sided: bool,
) -> dict[str, float]:
    """How right a random method's two stated errors are, from two estimates of independent keys.

    `error_ratio`: the stated `std_error` over the random error's real size, both root mean squares;
    the latter is that of (first - second) / sqrt(2), whose truncation cancels. `bracketed`: the
    share of images whose exact score is below `first` by up to `bias_bound`, or off by that
    (`two_sided`), give or take 2 std_error. NaN where a single probe knows no error, or a method
    no bound.
    """
    real = np.sqrt(np.square(first - second).mean() / 2)
    stated = np.sqrt(np.square(std_error.astype(np.float64)).mean())
    above = bias_bound if two_sided else 0
    inside = exact <= first + above + 2 * std_error
    inside &= exact >= first - bias_bound - 2 * std_error
    known = np.isfinite(std_error).all() and np.isfinite(bias_bound).any()
    return {
        "error_ratio": float(stated / real),
        "bracketed": float(inside.mean()) if known else math.nan,
    }


def by_group(
    estimate: np.ndarray,
    exact: np.ndarray,
    std_error: np.ndarray,
    flagged: np.ndarray,
) -> dict[str, float]:
    """Errors of one group's images."""
    error = np.asarray(estimate, np.float64) - exact
    return {
        "bias": float(error.mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
        "coverage_1": float((np.abs(error) <= std_error).mean()),
        "coverage_1.96": float((np.abs(error) <= 1.96 * std_error).mean()),
        "flagged": float(flagged.mean()),
    }


def cascade(
    estimate: np.ndarray, exact: np.ndarray, flagged: np.ndarray, refine: float = 0.05
) -> dict[str, float]:
    """Rescoring exactly the lowest `refine` of the estimates and every flagged image.

    `recovered_1%`: the share of the exact lowest 1 % of images that are the lowest 1 % of the final
    scores too; likewise 5 %. `sketch_1%`: without rescoring.
    """
    count = len(exact)
    lowest = lambda scores, share: set(np.argsort(scores)[: math.ceil(share * count)].tolist())
    again = flagged.copy()
    again[list(lowest(estimate, refine))] = True
    final = np.where(again, exact, estimate)
    row = {"images": count, "rescored": float(again.mean()), "flagged": float(flagged.mean())}
    for share in (0.01, 0.05):
        wanted = lowest(exact, share)
        row[f"lowest_{share:.0%}"] = len(wanted)
        row[f"recovered_{share:.0%}"] = len(wanted & lowest(final, share)) / len(wanted)
        row[f"sketch_{share:.0%}"] = len(wanted & lowest(estimate, share)) / len(wanted)
    return row


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every figure over `rows`, and the range of the rank correlation."""
    merged = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    if len(rows) > 1 and "spearman" in rows[0]:
        found = [row["spearman"] for row in rows]
        merged["spearman_range"] = [float(min(found)), float(max(found))]
    return merged
