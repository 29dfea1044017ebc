"""Groups of near-identical images are those that all pairs would give."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from jepa_jax.report.near_duplicates import default_threshold, near_identical
from jepa_jax.report.perceptual_hashes import RELATIONS, copies, hash_words, relation


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


def hex_of(bits):
    """As imagehash writes (16, 16) bits."""
    return np.packbits(bits).tobytes().hex()


ROW, COLUMN = np.mgrid[:16, :16] % 2 == 1
# Which frequencies change their sign when a picture is mirrored, turned upside down, or both.
ODD = {
    "copy": ROW & ~ROW,
    "mirrored": COLUMN,
    "upside down": ROW,
    "turned by 180°": ROW ^ COLUMN,
}


@pytest.fixture(scope="module")
def hashes():
    """100 pictures, each as it is and mirrored in all ways, with 0 to 39 bits changed; bits too."""
    rng = np.random.default_rng(0)
    every = []
    for _ in range(100):
        bits = rng.integers(0, 2, (16, 16)) == 1
        every += [bits, bits]
        for odd in ODD.values():
            changed = (bits ^ odd).ravel()
            changed[rng.choice(256, rng.integers(40), replace=False)] ^= True
            every.append(changed.reshape(16, 16))
    return np.array(every)


def apart(a, b):
    """In how many bits, with a as it is, mirrored, ...: by definition, of (16, 16) bits."""
    return np.stack([((a ^ odd) != b).sum((-1, -2)) for odd in ODD.values()], -1)


def test_copies_are_those_of_all_pairs(hashes):
    rows, words = hash_words([hex_of(bits) for bits in hashes])
    assert rows.tolist() == list(range(len(hashes)))
    linked = np.zeros((len(hashes),) * 2, bool)
    for a, b in copies(words):
        linked[a, b] = linked[b, a] = True
    expected = np.stack([apart(bits, hashes).min(-1) <= 31 for bits in hashes])
    groups = connected_components(expected)[1]
    np.testing.assert_array_equal(connected_components(linked)[1], groups)
    # Equal ones come with the first of them alone; of the others every pair is there.
    distinct = np.unique(words, axis=0, return_index=True)[1]
    different = ~np.eye(len(distinct), dtype=bool)
    pairs = np.ix_(distinct, distinct)
    np.testing.assert_array_equal(linked[pairs] & different, expected[pairs] & different)


def test_what_a_copy_is_of_the_other(hashes):
    _, words = hash_words([hex_of(bits) for bits in hashes])
    found = relation(words[2:6], np.repeat(words[:1], 4, 0))
    near = [apart(bits, hashes[0]).min() <= 31 for bits in hashes[2:6]]
    assert [RELATIONS[code] for code in found] == [
        name if known else "" for name, known in zip(ODD, near, strict=True)
    ]
    assert any(near)


def test_hashes_join_what_embeddings_do_not_and_the_other_way_round():
    bits = np.random.default_rng(1).integers(0, 2, (3, 16, 16)) == 1
    # 0 and 1 are alike by their embeddings, 1 and 2 by their hashes, 3 has none, 4 no embedding.
    embeddings = np.array([[1, 0], [1, 0.001], [0, 1], [-1, 0], [np.nan, 0]])
    hashes = [*map(hex_of, (bits[0], bits[1], bits[1] ^ COLUMN)), None, hex_of(bits[2])]
    assert near_identical(embeddings, hashes=hashes).tolist() == [0, 0, 0, -1, -1]
    assert near_identical(None, hashes=hashes).tolist() == [-1, 0, 0, -1, -1]
    assert near_identical(embeddings).tolist() == [0, 0, -1, -1, -1]
    assert near_identical(None, hashes=["", "not a hash", "00"]).tolist() == [-1] * 3
