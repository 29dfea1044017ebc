"""Groups of near-identical images are those that all pairs would give."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from jepa_jax.report.near_duplicates import default_threshold, near_identical


def by_all_pairs(embeddings, threshold):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return connected_components(unit @ unit.T >= threshold)[1]


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.98])
def test_the_groups_of_all_pairs_over_several_blocks(threshold):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(300, 40))
    embeddings = centres[rng.integers(300, size=3000)] + 0.12 * rng.normal(size=(3000, 40))
    groups = near_identical(embeddings.astype(np.float32), threshold)
    again = near_identical(embeddings.astype(np.float32), threshold, overwrite=True)
    np.testing.assert_array_equal(again, groups)
    expected = by_all_pairs(embeddings, threshold)
    alone = np.bincount(expected)[expected] == 1
    assert (groups[alone] == -1).all()
    assert (groups[~alone] >= 0).all()
    pairs = set(zip(groups[~alone].tolist(), expected[~alone].tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_the_largest_group_comes_first_and_copies_of_any_scale_are_alike():
    a, b = np.eye(2, 5)
    embeddings = np.array([a, b, 3 * b, a, 0.1 * b, [0, 0, 1, 0, 0]])
    assert near_identical(embeddings).tolist() == [1, 0, 0, 1, 0, -1]


def test_rows_without_an_embedding_are_in_no_group():
    embeddings = np.array([[np.nan, 1.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [np.inf, 0.0]])
    assert near_identical(embeddings).tolist() == [-1, -1, 0, 0, -1]
    kept = embeddings.copy()
    assert near_identical(embeddings, overwrite=False).tolist() == [-1, -1, 0, 0, -1]
    np.testing.assert_array_equal(embeddings, kept)
    assert near_identical(np.float32(embeddings), overwrite=True).tolist() == [-1, -1, 0, 0, -1]
    assert near_identical(np.zeros((0, 3))).tolist() == []
    assert near_identical(np.ones((1, 3))).tolist() == [-1]


def test_many_equal_images_are_one_group():
    embeddings = np.ones((20_000, 8), np.float32)
    embeddings[::2] *= 1 + 1e-6 * np.arange(10_000, dtype=np.float32)[:, None]
    assert (near_identical(embeddings, 0.999) == 0).all()


def test_the_default_rises_where_an_encoder_finds_all_images_alike():
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(500, 64))
    assert default_threshold(spread) == 0.98
    alike = 1 + 0.05 * rng.normal(size=(500, 64))
    # cos of two such vectors: about 1 / (1 + .05^2), give or take 5e-4.
    assert 0.997 < default_threshold(alike) < 0.9995
    assert default_threshold(np.ones((10, 3))) == 0.9995


def test_a_threshold_that_makes_no_sense():
    with pytest.raises(ValueError, match=r"`threshold` must be .* at most 1, got 1\.2"):
        near_identical(np.ones((2, 2)), 1.2)
