"""The five figures on scores whose figures can be counted by hand, and by brute force."""

import numpy as np
import pytest

from jepa_jax.evaluation import detection_metrics, matched_auroc


def test_by_hand():
    # Falling: in 4, in 3, out 2, in 1, out 0.
    found = detection_metrics(np.array([4.0, 3.0, 1.0]), np.array([2.0, 0.0]))
    assert found.auroc == pytest.approx(5 / 6)
    # Recall 0, 1/3, 2/3, 2/3, 1 at precision 1, 1, 1, 2/3, 3/4: trapezoids.
    assert found.aupr_in == pytest.approx(1 / 3 + 1 / 3 + 1 / 3 * (2 / 3 + 3 / 4) / 2)
    # Outliers from the lowest: recall 0, 1/2, 1/2, 1 at precision 1, 1, 1/2, 2/3.
    assert found.aupr_out == pytest.approx(1 / 2 + 1 / 2 * (1 / 2 + 2 / 3) / 2)
    assert found.fpr95_in == 1 / 2  # All inliers accepted: the outlier at 2 is, too.
    assert found.fpr95_out == pytest.approx(1 / 3)  # Both outliers rejected: the inlier at 1 is.


def test_perfect_reversed_and_constant():
    high, low = np.arange(10.0) + 100, np.arange(20.0)
    assert detection_metrics(high, low) == pytest.approx((1, 1, 1, 0, 0))
    worst = detection_metrics(low, high)
    assert (worst.auroc, worst.fpr95_in, worst.fpr95_out) == (0, 1, 1)
    constant = detection_metrics(np.zeros(10), np.zeros(30))
    assert (constant.auroc, constant.fpr95_in, constant.fpr95_out) == (0.5, 1, 1)


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_against_every_threshold(digits):
    """OpenOOD's definitions, threshold by threshold; few digits make ties."""
    rng = np.random.default_rng(digits)
    inside = rng.normal(1, 1, 57).round(digits)
    outside = rng.normal(0, 1, 43).round(digits)
    found = detection_metrics(inside, outside)
    pairs = inside[:, None] - outside
    assert found.auroc == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2)
    thresholds = np.unique(np.concatenate([inside, outside]))
    kept = [(outside >= t).mean() for t in thresholds if (inside >= t).mean() >= 0.95]
    assert found.fpr95_in == pytest.approx(min(kept))
    caught = [(inside <= t).mean() for t in thresholds if (outside <= t).mean() >= 0.95]
    assert found.fpr95_out == pytest.approx(min(caught))
    recall, precision = [0.0], [1.0]
    for t in thresholds[::-1]:
        recall.append((inside >= t).mean())
        precision.append((inside >= t).sum() / ((inside >= t).sum() + (outside >= t).sum()))
    assert found.aupr_in == pytest.approx(np.trapezoid(precision, recall))


def test_the_classes_trade_places_when_scores_change_sign():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, 40), rng.normal(0, 1, 60)
    one, other = detection_metrics(inside, outside), detection_metrics(-outside, -inside)
    assert one.auroc == pytest.approx(other.auroc)
    assert (one.aupr_in, one.fpr95_in) == pytest.approx((other.aupr_out, other.fpr95_out))


@pytest.mark.parametrize(
    ("inside", "outside", "message"),
    [
        (np.zeros(0), np.zeros(3), r"`inliers` must be scores \(N,\), N >= 1, got \(0,\)"),
        (np.zeros(3), np.zeros((3, 1)), r"`outliers` .* got \(3, 1\)"),
        (np.array([0, np.nan]), np.zeros(3), "`inliers` must be finite scores, 1 of 2 are not"),
    ],
)
def test_what_is_no_score(annotations_unchecked, inside, outside, message):
    with pytest.raises(ValueError, match=message):
        detection_metrics(inside, outside)


def test_matched_by_what_explains_everything_it_is_guessing():
    """A score that is the complexity and nothing else, within quartiles of it."""
    rng = np.random.default_rng(0)
    simple, complex_ = rng.normal(0, 1, 4000), rng.normal(1, 1, 4000)
    plain = detection_metrics(complex_, simple).auroc
    matched = matched_auroc(complex_, simple, complex_, simple)
    assert plain > 0.75
    assert 0.5 < matched < 0.62  # What differs within a quartile is left.
    assert matched_auroc(complex_, simple, complex_, simple, bins=100) == pytest.approx(
        0.5, abs=0.02
    )
    # A score that complexity says nothing of keeps its AUROC.
    size = rng.normal(size=8000)
    kept = matched_auroc(complex_, simple, size[:4000], size[4000:])
    assert kept == pytest.approx(plain, abs=0.02)


def test_matched_by_hand():
    """Two bins: of one pair at .0, and of four pairs at .75."""
    found = matched_auroc(
        np.array([0.0, 5.0, 3.0]),
        np.array([1.0, 4.0, 2.0]),
        np.array([1.0, 9.0, 9.0]),
        np.array([1.0, 9.0, 9.0]),
        bins=2,
    )
    assert found == pytest.approx((0 * 1 + 0.75 * 4) / 5)
    apart = matched_auroc(np.ones(3), np.zeros(3), np.zeros(3), np.ones(3), bins=2)
    assert np.isnan(apart)
    with pytest.raises(ValueError, match="`outliers_by` must be finite"):
        matched_auroc(np.ones(2), np.ones(2), np.ones(2), np.array([1.0, np.nan]))
