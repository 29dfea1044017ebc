"""Thresholds fitted on other images hold their rate; incomparable folders are refused."""

import math

import numpy as np
import pytest
from tables import SETTINGS, row, write_folder

from jepa_jax.report.fitted_threshold import check_comparable, fit_outside, shared_ids
from jepa_jax.store.table import read_scores


def test_known_thresholds():
    scores = np.random.default_rng(0).permutation(np.append(np.arange(1.0, 100.0), np.nan))
    low = fit_outside(scores, 0.05)
    assert (low.low, low.high) == (5.0, math.inf)
    high = fit_outside(scores, 0.05, "high")
    assert (high.low, high.high) == (-math.inf, 95.0)
    both = fit_outside(scores, 0.1, "both")
    assert (both.low, both.high) == (5.0, 95.0)


def test_the_rate_holds_for_new_images_of_the_same_distribution():
    # E[taken] over references is k / (n + 1) exactly: 2 / 50 here. 4000 trials of 1000 images
    # leave a standard error of sd / sqrt(4000), sd < .028 (a beta distribution's) + sampling.
    rng = np.random.default_rng(0)
    taken = []
    for _ in range(4000):
        rule = fit_outside(rng.normal(size=49), 0.04)
        taken.append(rule.choose(rng.normal(size=1000)).mean())
    assert abs(np.mean(taken) - 0.04) < 4 * 0.03 / math.sqrt(4000)


def test_too_few_references_for_a_rate():
    with pytest.raises(ValueError, match=r"0\.01 \(low\) needs at least 99 scores .* got 98"):
        fit_outside(np.arange(98.0), 0.01)
    assert fit_outside(np.arange(99.0), 0.01).low == 0
    with pytest.raises(ValueError, match=r"0\.01 \(both\) needs at least 199"):
        fit_outside(np.arange(99.0), 0.01, "both")
    with pytest.raises(ValueError, match="above 0 and below 1, got"):
        fit_outside(np.arange(99.0), 1.0)


def test_other_settings_are_refused_with_both_values(tmp_path):
    mine = read_scores(write_folder(tmp_path / "a", [row("x.jpg", 1.0)]))
    same = read_scores(write_folder(tmp_path / "b", [row("y.jpg", 1.0)], seed=9, source="other"))
    check_comparable(mine, same)
    encoder = SETTINGS["encoder"] | {"image_size": 56}
    other = read_scores(write_folder(tmp_path / "c", [row("y.jpg", 1.0)], encoder=encoder, views=4))
    both = r"(?s)encoder\.image_size: 28 here, 56 in the reference.*views: 1 here, 4 in the ref"
    with pytest.raises(ValueError, match=both):
        check_comparable(mine, other)


def test_shared_images_are_counted(tmp_path):
    mine = read_scores(write_folder(tmp_path / "a", [row("x.jpg", 1.0), row("y.jpg", 2.0)]))
    other = read_scores(write_folder(tmp_path / "b", [row("y.jpg", 1.0), row("z.jpg", 2.0)]))
    assert shared_ids(mine, other) == 1
