"""Maps of patches in the page: what they say of shares that are known, and how many there are."""

import re

import numpy as np
import pytest
from image_files import RED, png
from tables import row, write_folder

from jepa_jax.report import patch_maps
from jepa_jax.report.html import write_report
from jepa_jax.report.patch_maps import pack_maps
from jepa_jax.report.payload import unpack
from jepa_jax.store.folder import shard_path
from jepa_jax.store.shards import read_table
from jepa_jax.store.table import read_patches


def test_a_map_comes_back_to_a_part_in_500_of_its_largest_share():
    rng = np.random.default_rng(0)
    maps = {4: rng.gamma(1, size=(3, 5)).astype(np.float16), 1: np.full((2, 2), 7.0)}
    columns, known = pack_maps(maps, [4, 1], 6)
    assert known["count"] == 2
    assert columns["map_start"].tolist() == [0, 16, 0, 0, 1, 0]
    for place, shares in maps.items():
        start = columns["map_start"][place] - 1
        shape = columns["map_rows"][place], columns["map_columns"][place]
        assert shape == shares.shape
        values = columns["maps"][start : start + shares.size].reshape(shape)
        found = values / 255 * columns["map_top"][place]
        expected = shares.astype(float) / shares.astype(float).mean()
        np.testing.assert_allclose(found, expected, atol=expected.max() / 500)


def test_what_is_no_map_is_left_out_and_the_budget_kept(monkeypatch):
    bad = np.array([[1.0, np.nan]])
    columns, known = pack_maps({0: bad, 1: np.zeros((2, 2)), 2: np.eye(2)}, [0, 1, 2, 3], 4)
    assert columns["map_start"].tolist() == [0, 0, 1, 0]
    assert pack_maps({0: bad}, [0], 1) == ({}, {"count": 0, "top": 0.0})
    monkeypatch.setattr(patch_maps, "MOST_BYTES", 9)
    columns, known = pack_maps({r: np.ones((2, 2)) for r in range(9)}, [7, 3, 5], 9)
    # The most needed first.
    assert np.flatnonzero(columns["map_start"]).tolist() == [3, 7]
    assert known["count"] == 2


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    rows = []
    for i in range(6):
        path = tmp_path / "in" / f"{i}.png"
        path.write_bytes(png(RED, (40, 20)))
        shares = np.float16([[1, 2], [3, 4 + i]])
        patches = None if i == 5 else [list(line) for line in shares]
        rows.append(row(path.name, float(i), source=str(path), patches=patches))
    return write_folder(tmp_path / "scores", rows, ("patches",), source=str(tmp_path / "in"))


def test_maps_are_read_for_the_rows_asked_for(folder):
    maps = read_patches(folder, [4, 0, 5])
    assert {place: found.tolist() for place, found in maps.items()} == {
        0: [[1, 2], [3, 4]],
        4: [[1, 2], [3, 8]],
    }
    assert "patches" in read_table(shard_path(folder, 0)).column_names


def test_the_page_has_the_maps_of_its_pictures(folder, tmp_path):
    text = write_report(folder, tmp_path / "r.html").path.read_text(encoding="utf-8")
    packed = re.search(r'id="rows"[^>]*>([^<]+)<', text)
    assert packed
    rows = unpack(packed[1].strip())
    assert (rows["map_start"] > 0).tolist() == [True] * 5 + [False]
    words = " ".join(text.split())
    assert "5 pictures of 6 have theirs in this page" in words
    # Folders by hand say nothing of how inputs lie in images.
    assert "is not recorded of these scores" in words
