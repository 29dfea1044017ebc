"""Distributions, classes, relations and failures, on rows where they are known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from jepa_jax.report.statistics import (
    classes,
    error_kind,
    failures,
    histogram,
    relation,
    repeated_scores,
)


def test_a_histogram_counts_every_score_once():
    rng = np.random.default_rng(0)
    scores = np.append(rng.normal(size=5000), [np.nan, -1000.0, 1000.0, 2000.0])
    errors = np.abs(np.nan_to_num(scores))
    found = histogram(scores, errors)
    assert found is not None
    assert sum(found.counts) == 5003
    assert found.low_open
    assert found.high_open
    # The far values do not stretch the axis: quartiles of a normal at +-.674, 4 times 1.349 out.
    assert -6.5 < found.edges[0] < -3
    assert found.counts[-1] == 2
    assert found.std_errors[-1] == 1500
    assert len(found.counts) <= 60


def test_histograms_of_little():
    assert histogram(np.array([np.nan]), np.zeros(1)) is None
    one = histogram(np.array([3.0, 3.0]), np.zeros(2))
    assert one is not None
    assert sum(one.counts) == 2
    assert (one.edges[0], one.edges[-1]) == (2.5, 3.5)
    assert not one.low_open


def test_classes_from_the_lowest_median():
    scores = np.array([5.0, 1.0, np.nan, 9.0, 3.0, np.nan, 7.0])
    labels = np.array(["b", "a", "a", "b", "a", "c", "b"], object)
    low, high, none = classes(scores, labels)
    assert (low.label, low.count, low.failed, low.quantiles[2]) == ("a", 3, 1, 2.0)
    assert (low.lowest, low.highest) == ([1, 4], [4, 1])
    assert (high.label, high.quantiles[2], high.lowest) == ("b", 7.0, [0, 6, 3])
    assert (none.label, none.count, none.failed, none.quantiles) == ("c", 1, 1, [])
    # All scores: quartiles 3 and 7, median 5: a standard deviation of 4 / 1.349.
    assert low.shift == pytest.approx((2 - 5) / (4 / 1.349))


@pytest.mark.parametrize("count", [200, 3000])
def test_relations(count):
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=count))
    scores = np.log(x) + rng.normal(size=count)
    scores[0] = x[1] = np.nan
    found = relation("bits", "Complexity", "bits", x, scores)
    assert found is not None
    assert found.spearman == pytest.approx(spearmanr(x[2:], scores[2:]).statistic)
    assert sum(tenth[2] for tenth in found.tenths) == count - 2
    low, high, images, middle, lower, upper, at = found.tenths[3]
    inside = (x >= low) & (x < high) & np.isfinite(scores)
    assert images == inside.sum()
    expected = np.quantile(scores[inside], [0.5, 0.25, 0.75])
    np.testing.assert_allclose([middle, lower, upper], expected)
    assert at == np.median(x[inside])
    if count == 200:
        assert found.grid is None
    else:
        assert found.grid is not None
        assert sum(cell[2] for cell in found.grid["cells"]) == count - 2


def test_no_relation_with_what_does_not_vary_or_is_not_stored():
    scores = np.arange(10.0)
    assert relation("size", "Size", "pixels", np.full(10, 5.0), scores) is None
    assert relation("size", "Size", "pixels", np.full(10, np.nan), scores) is None


def test_failures_by_kind():
    errors = [
        None,
        "UnreadableImage: truncated JPEG file (image file is truncated (35 bytes))",
        "UnreadableImage: truncated JPEG file (image file is truncated (7 bytes))",
        "FileNotFoundError: [Errno 2] No such file or directory: 'a/b (1).jpg'",
        "the score is not finite: inf",
    ]
    status = np.array(["ok", "unreadable", "unreadable", "unreadable", "nonfinite"], object)
    scored = np.array([True, False, False, False, False])
    found = failures(status, errors, scored)
    assert [(f.kind, f.count, f.rows) for f in found] == [
        ("truncated JPEG file", 2, [1, 2]),
        ("no such file or directory", 1, [3]),
        ("the score is not finite: inf", 1, [4]),
    ]
    assert found[0].example == errors[1]


def test_kinds_of_odd_errors():
    assert error_kind("") == "no reason given"
    assert error_kind("ValueError: ") == "ValueError"
    assert error_kind("OSError: cannot read '<script>' at 17") == "cannot read … at #"


def test_scores_shared_to_the_last_digit():
    scores = np.array([1.0, 2.0, 2.0, np.nan, 2.0, np.nan, np.nan, 1.0, 2.0 + 1e-12])
    assert repeated_scores(scores) == [(2.0, 3)]
    assert repeated_scores(scores, 2) == [(2.0, 3), (1.0, 2)]
