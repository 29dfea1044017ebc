"""Resampled figures are those of the resampled images; intervals cover what they claim."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from jepa_jax.evaluation import Resamples, assess, detection_metrics
from jepa_jax.evaluation.bootstrap import intervals_of, resampled_metrics


@pytest.mark.parametrize("digits", [0, 8])
def test_weights_are_as_good_as_copies(digits):
    rng = np.random.default_rng(digits)
    inside, outside = rng.normal(1, 1, 31).round(digits), rng.normal(0, 1, 23).round(digits)
    resamples = Resamples.draw(31, 23, count=40, seed=1)
    found = resampled_metrics(inside, outside, resamples)
    for row, a, b in zip(found, resamples.inliers, resamples.outliers, strict=True):
        copies = detection_metrics(np.repeat(inside, a), np.repeat(outside, b))
        np.testing.assert_allclose(row, copies, rtol=1e-12)


def test_intervals_cover_the_true_auroc():
    # Of N(1, 1) against N(0, 1): Phi(1 / sqrt 2).
    truth, runs = norm.cdf(1 / np.sqrt(2)), 150
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(runs):
        found = assess(rng.normal(1, 1, 80), rng.normal(0, 1, 80), resamples=200, seed=seed)
        low, high = found.intervals["auroc"]
        covered += low <= truth <= high
    # Percentile intervals of 80 images fall a little short of 95 %: above .91, but for one in 1e3.
    assert binom.ppf(1e-3, runs, 0.91) <= covered <= binom.ppf(1 - 1e-3, runs, 0.97)


def test_a_wider_confidence_and_the_same_seed():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, 50), rng.normal(0, 1, 50)
    narrow, wide = (assess(inside, outside, confidence=c).intervals["auroc"] for c in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert assess(inside, outside, confidence=0.8).intervals["auroc"] == narrow


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, 50), rng.normal(0, 1, 50)
    resamples = Resamples.draw(50, 50, 200)
    one = assess(inside, outside, resamples=resamples)
    # Twice as high and shifted: the same order, so the same figures in every resample.
    other = assess(2 * inside + 3, 2 * outside + 3, resamples=resamples)
    assert intervals_of(one.resampled - other.resampled, 0.95)["auroc"] == (0, 0)


def test_resamples_of_other_sizes():
    with pytest.raises(ValueError, match="is of 3 inliers and 4 outliers, got 4 and 4"):
        assess(np.arange(4.0), np.arange(4.0), resamples=Resamples.draw(3, 4, 10))
    with pytest.raises(ValueError, match=r"`confidence` must be in \(0, 1\), got 95"):
        assess(np.arange(4.0), np.arange(4.0), confidence=95)
