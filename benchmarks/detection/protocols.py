"""What is shown of the protocol: the same distribution twice, and leakage."""

import numpy as np

from jepa_jax.evaluation import Comparison, Features, Mahalanobis, assess, default_detectors
from jepa_jax.evaluation.bootstrap import intervals_of
from jepa_jax.evaluation.detectors.detector import Detector


def detectors_for(features: Features, flow: bool = True) -> list[Detector]:
    """The default detectors that these features serve."""
    return [d for d in default_detectors(flow=flow) if d.needs <= features.names]


def same_distribution(
    reference: Features, pool: Features, splits: int = 100, resamples: int = 500
) -> list[dict]:
    """For every method: AUROC of one half of `pool` against the other, over random halves.

    `mean`, `lowest`, `highest` AUROC, and the share of the halvings whose 95 % interval holds .5.
    """
    rows = []
    for detector in detectors_for(pool):
        scores = detector.fit(reference).score(pool)
        found, covered = [], []
        for split in range(splits):
            order = np.random.default_rng(split).permutation(len(pool))
            one, other = np.array_split(scores[order], 2)
            result = assess(one, other, resamples=resamples, seed=split)
            low, high = result.intervals["auroc"]
            found.append(result.metrics.auroc)
            covered.append(low <= 0.5 <= high)
        rows.append(
            {
                "method": detector.name,
                "mean": float(np.mean(found)),
                "lowest": float(min(found)),
                "highest": float(max(found)),
                "interval_holds_half": float(np.mean(covered)),
            }
        )
    return rows


def simultaneous(comparison: Comparison, outliers: str, confidence: float = 0.95) -> list[dict]:
    """Every method's AUROC with intervals that hold for all methods at once (Bonferroni)."""
    each = 1 - (1 - confidence) / len(comparison.methods)
    rows = []
    for method in comparison.methods:
        found = method.assessments[outliers]
        interval = intervals_of(found.resampled, each)["auroc"]
        rows.append(
            {"method": method.name, "auroc": found.metrics.auroc, "interval": list(interval)}
        )
    return rows


def leakage(pool: Features, sizes: tuple[int, ...], draws: int = 20) -> list[dict]:
    """Fresh images of one distribution in the outliers' place, fairly and with leakage.

    `pool` is cut at random into a reference of `size`, and as many images each for the inliers and
    the "outliers". Leaky: the inliers are the very images that the detector was fitted on, as in
    the published evaluation. Fair: others. Means over `draws`.
    """
    rows = []
    methods = [
        Mahalanobis(shrinkage="none"),
        *[d for d in detectors_for(pool, flow=False) if "embedding" in d.needs],
    ]
    for size in sizes:
        rest = (len(pool) - size) // 2
        for detector in methods:
            leaky, fair = [], []
            for draw in range(draws):
                order = np.random.default_rng(draw).permutation(len(pool))
                cuts = (size, size + rest, size + 2 * rest)
                seen, other, fresh, _ = (pool.take(i) for i in np.split(order, cuts))
                try:
                    fitted = detector.fit(seen)
                except ValueError:  # Too few images for this one.
                    break
                outside = fitted.score(fresh)
                leaky.append(assess(fitted.score(seen), outside, resamples=1).metrics.auroc)
                fair.append(assess(fitted.score(other), outside, resamples=1).metrics.auroc)
            if leaky:
                rows.append(
                    {
                        "method": detector.name,
                        "fitted_on": size,
                        "leaky": float(np.mean(leaky)),
                        "fair": float(np.mean(fair)),
                        "fair_lowest": float(min(fair)),
                        "fair_highest": float(max(fair)),
                    }
                )
    return rows
