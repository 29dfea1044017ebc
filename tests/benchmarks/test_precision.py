"""The figures of a precision, of scores whose difference is known; images that do not move."""

import numpy as np
import pytest
from PIL import ImageChops

from benchmarks.precision.comparison import figures, record, scores_in
from benchmarks.precision.groups import GROUPS, records
from benchmarks.precision.page import page
from jepa_jax import load_encoder


def test_images_are_the_same_whatever_their_number():
    pytest.importorskip("skimage", reason="its textures and photographs")
    few, many = records(2, 28), records(5, 28)
    assert [r.id for r in few] == [r.id for r in many][: len(few)]
    assert [r.id for r in few[:3]] == [f"{group}-000" for group in GROUPS]
    for one, other in zip(few, many, strict=False):
        assert ImageChops.difference(one.load(), other.load()).getbbox() is None


def made_up(n=90, seed=0):
    rng = np.random.default_rng(seed)
    group = np.array([GROUPS[i % 3] for i in range(n)])
    exact = rng.normal(-600, 100, n) - 200 * (group == "odd")
    return exact, group, rng.uniform(4, 7, n)


def test_of_a_known_difference():
    """Five nats more, and two more for the ill conditioned half: no rank moves by that."""
    exact, group, condition = made_up()
    exact = np.sort(exact.round(-1)) + 20 * np.arange(len(exact))
    ill = condition > np.median(condition)
    found = figures(exact + 5 + 2 * ill, exact, group, condition)
    assert found["bias"] == pytest.approx(6.0)
    assert found["largest"] == pytest.approx(7.0)
    assert found["bias_well_conditioned"] == pytest.approx(5.0)
    assert found["bias_ill_conditioned"] == pytest.approx(7.0)
    assert found["sd"] == pytest.approx(1.0, rel=0.02)
    assert found["spearman"] == found["kendall"] == pytest.approx(1.0)
    assert found["auroc_shift"] == 0


def test_a_line_leaves_what_is_no_line():
    exact, group, condition = made_up()
    noise = np.random.default_rng(1).normal(0, 3, len(exact))
    # 1.1 times the exact score, and noise: in float32's units of 3 / 1.1.
    found = figures(1.1 * exact + 50 + noise, exact, group, condition)
    assert found["sd_after_a_line"] == pytest.approx(3 / 1.1, rel=0.15)
    assert 0.88 < found["within_two_errors"] <= 1


def test_a_page_of_what_is_there():
    """Also where a precision has fewer images than float32."""
    exact, group, condition = made_up(33)
    ids = [f"{name}-{i // 3:03d}" for i, name in enumerate(group)]
    spectra = [np.linspace(0, c * np.log(10), 65) for c in condition]
    rows = lambda scores, count: {
        ids[i]: {"jepa_score": scores[i], "spectrum": spectra[i]} for i in range(count)
    }
    found = record(
        load_encoder("embedded"), {"highest": rows(exact, 33), "bf16": rows(exact + 3, 12)}
    )
    assert found["precisions"]["bf16"]["images"] == 12
    assert found["precisions"]["bf16"]["bias"] == pytest.approx(3.0)
    assert found["median_condition"] == pytest.approx(np.median(condition))
    shown = page(found)
    assert "33 images of three groups" in shown
    assert "| bf16 | 12 | 3.000 | 0.000 | 3.000 | 1.00000 |" in shown


def test_nothing_is_read_where_nothing_was_scored(tmp_path):
    assert scores_in(tmp_path) == {}
