"""Scores among images alike: as the evaluation's detector has them, each image itself left out."""

import numpy as np
import pytest

from jepa_jax.evaluation import ConditionalScore, Features
from jepa_jax.report.conditional import conditional_score
from jepa_jax.report.thumbnails import rows_to_show


def features(scores, embeddings):
    ids = tuple(map(str, range(len(scores))))
    return Features(ids, embeddings, {"jepa_score": scores})


def test_it_is_the_detectors_with_all_other_images_for_reference():
    rng = np.random.default_rng(0)
    scores, embeddings = rng.normal(size=40), rng.normal(size=(40, 3)).astype(np.float32)
    found = conditional_score(scores, embeddings, k=5)
    for row in range(0, 40, 4):
        others = np.arange(40) != row
        detector = ConditionalScore(k=5).fit(features(scores[others], embeddings[others]))
        expected = detector.score(features(scores[[row]], embeddings[[row]]))
        assert found[row] == pytest.approx(expected[0], rel=1e-5)


def test_rows_without_a_score_or_an_embedding_are_no_neighbours():
    rng = np.random.default_rng(0)
    scores, embeddings = rng.normal(size=30), rng.normal(size=(30, 3)).astype(np.float32)
    expected = conditional_score(scores, embeddings, k=4)
    more = np.concatenate([embeddings[:3], np.full((1, 3), np.nan), np.zeros((1, 3)), embeddings])
    more = more.astype(np.float32)
    found = conditional_score(np.concatenate([[np.nan] * 3, [9.0, 9.0], scores]), more, k=4)
    assert np.isnan(found[:5]).all()
    np.testing.assert_allclose(found[5:], expected)
    assert np.isnan(conditional_score(scores[:4], embeddings[:4], k=4)).all()
    assert np.isfinite(conditional_score(scores[:5], embeddings[:5], k=4)).all()
    with pytest.raises(ValueError, match="`k` must be at least 2, got 1"):
        conditional_score(scores, embeddings, k=1)


def test_of_many_rows_neighbours_are_among_a_sample():
    rng = np.random.default_rng(0)
    # Two kinds far apart, whose scores are about 0 and about 100.
    kind = rng.integers(2, size=3000)
    embeddings = np.eye(2, dtype=np.float32)[kind] + 0.01 * rng.normal(size=(3000, 2))
    scores = 100.0 * kind + rng.normal(size=3000)
    scores[7] = 100 * (1 - kind[7])
    found = conditional_score(scores, embeddings.astype(np.float32), most=200)
    assert np.argmax(np.abs(found)) == 7
    assert (found[7] > 0) == (kind[7] == 0)
    assert np.median(np.abs(np.delete(found, 7))) < 1.5
    again = conditional_score(scores, embeddings.astype(np.float32), most=200)
    np.testing.assert_array_equal(found, again)


def test_copies_without_spread_make_no_infinite_scores():
    scores = np.r_[np.full(30, 5.0), 6.0]
    found = conditional_score(scores, np.ones((31, 4), np.float32))
    assert np.isfinite(found).all()
    assert (found[:-1] == 0).all() or found[-1] == found.max()


def test_both_ends_have_pictures():
    conditional = np.r_[np.nan, np.arange(2000.0)]
    none = np.full(2001, -1)
    rows = rows_to_show(
        np.zeros(2001), np.full(2001, ""), none, none > 0, 400, conditional=conditional
    )
    assert {1, 2, 2000} <= set(rows.tolist())
