"""Correlations and their intervals, beside SciPy's and on what is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from jepa_jax.report.correlation import same_order, spearman


def pairs(rho, count, rng):
    return rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], count).T


def test_spearman_is_scipys_and_leaves_out_what_is_not_finite():
    rng = np.random.default_rng(0)
    x, y = pairs(0.5, 300, rng).round(1)  # With ties.
    found = spearman(np.append(x, [np.nan, 1, np.inf]), np.append(y, [5, np.nan, 0]))
    assert found is not None
    assert found.count == 300
    assert found.value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_nineteen_of_twenty_intervals_hold_the_true_correlation(rho):
    rng = np.random.default_rng(1)
    true = 6 / np.pi * np.arcsin(rho / 2)  # Of a bivariate normal.
    found = [spearman(*pairs(rho, 60, rng)) for _ in range(1000)]
    held = np.mean([f is not None and f.low <= true <= f.high for f in found])
    # A binomial share of 1000: a standard deviation of .7 %; the interval is approximate besides.
    assert 0.92 < held < 0.98


def test_orders_that_are_fixed_and_too_few_pairs():
    x = np.arange(50.0)
    for y, value in ((x**3, 1.0), (-x, -1.0)):
        found = spearman(x, y)
        assert found is not None
        assert (found.value, found.low, found.high) == (value, value, value)
    assert spearman(x[:2], x[:2]) is None
    assert spearman(x, np.zeros(50)) is None
    few = spearman(x[:3], x[:3])
    assert few is not None
    assert (few.low, few.high) == (-1, 1)


def test_same_order_counts_pairs():
    rng = np.random.default_rng(0)
    for size, levels in ((40, 6), (9, 2), (40, 1000)):
        x, y = rng.integers(levels, size=(2, size)).astype(float)
        i, j = np.triu_indices(size, 1)
        signs = np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
        assert same_order(x, y) == (signs > 0).sum() / (signs != 0).sum()
    assert np.isnan(same_order(np.zeros(4), np.arange(4.0)))
