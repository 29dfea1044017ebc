"""What a user asks for and what is taken."""

import numpy as np
import pytest
from tables import row, write_folder

from jepa_jax.report import Amount, Between, Bottom, Choice, choose

ROWS = [
    row("cat/1.jpg", 1.0, flagged=False),
    row("cat/2.jpg", 2.0, flagged=True),
    row("cat/3.jpg", None),
    row("dog/1.jpg", -5.0, flagged=None),
    row("dog/2.jpg", 9.0, flagged=False),
    row("dog/3.jpg", 4.0, flagged=True),
]


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "scores", ROWS, ("calibrated",))


def ids(folder, **parts):
    selected = choose(folder, Choice(**parts))
    return [ROWS[i]["id"] for i in np.flatnonzero(selected.chosen)]


LOWEST = Bottom(Amount(count=1))


def test_parts_add_up(folder):
    assert ids(folder, rule=LOWEST) == ["dog/1.jpg"]
    assert ids(folder, rule=LOWEST, per_label=True) == ["cat/1.jpg", "dog/1.jpg"]
    assert ids(folder, rule=LOWEST, failed=True) == ["cat/3.jpg", "dog/1.jpg"]
    assert ids(folder, flagged=True) == ["cat/2.jpg", "dog/3.jpg"]
    assert ids(folder, failed=True) == ["cat/3.jpg"]


def test_restricted_before_the_rule(folder):
    assert ids(folder, rule=LOWEST, labels=("cat",)) == ["cat/1.jpg"]
    assert ids(folder, rule=LOWEST, contains="/2.JPG") == ["cat/2.jpg"]
    assert ids(folder, failed=True, labels=("dog",)) == []


def test_what_would_be_left(folder):
    assert ids(folder, rule=LOWEST, invert=True, labels=("dog",)) == ["dog/2.jpg", "dog/3.jpg"]
    # A row without a score is kept only if that is asked for.
    assert "cat/3.jpg" not in ids(folder, rule=LOWEST, invert=True)
    assert "cat/3.jpg" in ids(folder, rule=LOWEST, invert=True, failed=True)


def test_rows_without_a_score_are_counted(folder):
    selected = choose(folder, Choice(rule=LOWEST))
    assert (selected.scored, selected.failed) == (5, {"unreadable": 1})


def test_a_label_that_no_image_has(folder):
    with pytest.raises(ValueError, match="no image has the label 'cow'; there are 'cat', 'dog'"):
        ids(folder, rule=LOWEST, labels=("cow",))


def test_near_identical_images_but_the_largest(tmp_path, folder):
    vectors = {"a": [1.0, 0.0], "b": [2.0, 0.001], "c": [0.0, 1.0], "d": [1.0, 0.0005]}
    sizes = {"a": 10, "b": 30, "c": 5, "d": 20}
    rows = [row("none", None)] + [
        row(k, 0.0, embedding=np.float32(v), width=sizes[k], height=2, bits_per_pixel=1.0)
        for k, v in vectors.items()
    ]
    out = write_folder(tmp_path / "e", rows, ("embedding", "image"))
    chosen = choose(out, Choice(near_identical=0.99)).chosen
    assert [rows[i]["id"] for i in np.flatnonzero(chosen)] == ["a", "d"]
    # Of the images considered alone: without "b" the largest is "d".
    chosen = choose(out, Choice(near_identical=0.99, invert=True)).chosen
    assert [rows[i]["id"] for i in np.flatnonzero(chosen)] == ["b", "c"]
    with pytest.raises(ValueError, match=r"holds no embeddings.*--store embedding,image"):
        choose(folder, Choice(near_identical=0.99))


def test_by_the_score_among_images_most_like_it(tmp_path, folder):
    """Two kinds; "odd" is the lowest of the kind that scores high, and no extreme of all."""
    rng = np.random.default_rng(0)
    rows = []
    for kind, base in enumerate((0.0, 100.0)):
        for i in range(25):
            vector = np.float32([1 - kind, kind, 0]) + 0.01 * rng.normal(size=3).astype(np.float32)
            rows.append(row(f"{kind}/{i}", base + i / 10, embedding=vector))
    odd = row("odd", 60.0, embedding=np.float32([0, 1, 0]))
    out = write_folder(tmp_path / "c", [*rows, odd, row("none", None)], ("embedding",))
    lowest = Choice(Bottom(Amount(count=1)), conditional=True)
    selected = choose(out, lowest)
    assert [selected.table.ids[i] for i in np.flatnonzero(selected.chosen)] == ["odd"]
    assert choose(out, Choice(Between(-np.inf, -3.0), conditional=True)).chosen.sum() == 1
    assert choose(out, Choice(Between(-np.inf, -3.0))).chosen.sum() == 0
    with pytest.raises(ValueError, match="holds no embeddings: the conditional score is of those"):
        choose(folder, lowest)
    few = write_folder(tmp_path / "few", rows[:7], ("embedding",))
    with pytest.raises(ValueError, match=r"at least 21 images .* got 7 with a score"):
        choose(few, lowest)


def test_a_folder_without_rows(tmp_path):
    with pytest.raises(ValueError, match="holds no scores yet"):
        choose(write_folder(tmp_path / "empty", []), Choice(failed=True))
