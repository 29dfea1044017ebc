"""Views of an image, and Eq. 4."""

import numpy as np
import pytest
from PIL import Image
from streams import colour

from jepa_jax.scoring import ViewSettings, combine_views, random_view
from jepa_jax.scoring.keys import generator_of


def test_eq_4_is_one_over_the_mean_of_one_over_the_volumes():
    volumes = np.array([2.0, 4.0, 8.0])
    score, _ = combine_views(np.log(volumes))
    assert score == pytest.approx(-np.log(np.mean(1 / volumes)))


def test_scores_far_from_zero_do_not_overflow():
    assert combine_views([-3000.0, 5000.0])[0] == pytest.approx(-3000 + np.log(2))


def test_one_view_is_its_score():
    assert combine_views([-12.5], [0.25]) == (-12.5, 0.25)


def test_the_standard_error_is_that_of_repeated_draws():
    rng = np.random.default_rng(0)
    draws = rng.normal(-50, 0.5, (4000, 64))
    combined = np.array([combine_views(row) for row in draws])
    # 64 views of deviation .5: the delta method's error is right to a few percent.
    assert combined[:, 1].mean() == pytest.approx(combined[:, 0].std(), rel=0.1)


def test_a_view_depends_on_seed_id_and_number_alone():
    image = colour(3)
    view = lambda *parts: np.asarray(random_view(image, 16, generator_of(*parts)))
    np.testing.assert_array_equal(view(0, "a", "1"), view(0, "a", "1"))
    for other in ((1, "a", "1"), (0, "b", "1"), (0, "a", "2")):
        assert (view(*other) != view(0, "a", "1")).any()
    # Parts do not run into each other.
    assert (view(0, "a1", "") != view(0, "a", "1")).any()


def test_crop_flip_and_colour():
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
    whole = ViewSettings(scale=(1, 1), ratio=(1, 1), flip=0, colour=0)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(random_view(image, 16, rng, whole), image)
    mirrored = ViewSettings(scale=(1, 1), ratio=(1, 1), flip=1, colour=0)
    np.testing.assert_array_equal(random_view(image, 16, rng, mirrored), np.asarray(image)[:, ::-1])
    coloured = ViewSettings(scale=(1, 1), ratio=(1, 1), flip=0, colour=1)
    assert (np.asarray(random_view(image, 16, rng, coloured)) != np.asarray(image)).any()


def test_crops_have_the_stated_area_and_ratio():
    # A ramp of positions: a crop's extremes tell its box.
    ramp = np.zeros((200, 200, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(200)[None], np.arange(200)[:, None]
    image, settings = Image.fromarray(ramp), ViewSettings(flip=0, colour=0)
    rng = np.random.default_rng(0)
    areas, ratios = [], []
    for _ in range(200):
        view = np.asarray(random_view(image, 64, rng, settings), np.float64)
        width, height = (np.ptp(view[..., c]) * 64 / 63 for c in (0, 1))
        areas.append(width * height / 200**2)
        ratios.append(width / height)
    assert 0.28 < min(areas) < 0.45
    assert 0.85 < max(areas) < 1.05
    assert 0.7 < min(ratios) < max(ratios) < 1.45
