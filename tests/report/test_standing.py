"""Where a score stands among others, of folders whose scores are known."""

import numpy as np
import pytest
from tables import SETTINGS, row, write_folder

from jepa_jax.report.standing import check_within, standing

SCORES = [-50.0, -10.0, -20.0, None, -30.0, -40.0, -60.0]


def embedded(angle):
    return np.float32([np.cos(angle), np.sin(angle)])


@pytest.fixture
def folder(tmp_path):
    rows = [row(f"{i}.png", score, width=10 * i) for i, score in enumerate(SCORES)]
    return write_folder(tmp_path / "scores", rows, ("image",))


def test_a_score_between_others(folder):
    found = standing(folder, -35.0)
    assert (found.count, found.rank, found.below, found.median) == (6, 4, 0.5, -35.0)
    assert found.by == "score"
    assert [(n.id, n.score) for n in found.typical] == [
        ("4.png", -30.0),
        ("2.png", -20.0),
        ("1.png", -10.0),
    ]
    assert [n.id for n in found.odd] == ["5.png", "0.png", "6.png"]
    assert found.odd[0].cosine is None


@pytest.mark.parametrize(
    ("score", "below", "rank"), [(-100, 0.0, 1), (0, 1.0, 7), (-60, 0.5 / 6, 1), (-10, 5.5 / 6, 6)]
)
def test_ends_and_equal_scores(folder, score, below, rank):
    found = standing(folder, score)
    assert found.below == pytest.approx(below)
    assert found.rank == rank


def test_facts_compare_with_the_columns_that_are_there(folder):
    found = standing(folder, -35.0, facts={"width": 30, "bits_per_pixel": None, "other": 3.0})
    assert found.facts == {"width": pytest.approx(3.5 / 7)}


def test_neighbours_by_embedding_across_shards(tmp_path):
    """Twenty images, two of which are odd; the nearest of each kind by their angles."""
    angles = np.linspace(0, 1.9, 20)
    rows = [
        row(f"{i}", float(i), embedding=None if i == 11 else embedded(angle))
        for i, angle in enumerate(angles)
    ]
    folder = write_folder(tmp_path / "scores", rows, ("embedding",))
    found = standing(folder, 5.0, embedding=3 * embedded(1.01))
    assert found.by == "embedding"
    assert [n.id for n in found.typical] == ["10", "12", "13"]
    assert [n.id for n in found.odd] == ["1", "0"]
    assert found.typical[0].cosine == pytest.approx(np.cos(0.01), abs=1e-6)
    assert standing(folder, 5.0).by == "score"


def test_folders_without_a_score_and_scores_that_are_none(tmp_path, folder):
    empty = write_folder(tmp_path / "none", [row("a", None)])
    with pytest.raises(ValueError, match="holds no image with a score"):
        standing(empty, 1.0)
    with pytest.raises(ValueError, match="must be finite"):
        standing(folder, float("nan"))


def test_other_settings_are_refused_with_both_values(folder):
    check_within(SETTINGS | {"source": "elsewhere", "seed": 3, "store": ["image"]}, folder)
    other = SETTINGS | {"precision": "bf16", "encoder": SETTINGS["encoder"] | {"image_size": 56}}
    with pytest.raises(ValueError, match="other settings") as error:
        check_within(other, folder)
    assert "precision: 'bf16' here, 'highest' there" in str(error.value)
    assert "encoder.image_size: 56 here, 28 there" in str(error.value)


def test_refined_rows_may_be_compared_with(tmp_path):
    refined = write_folder(tmp_path / "r", [row("a", 1.0)], refine={"low": 0.05, "high": 0.0})
    check_within(SETTINGS, refined)
