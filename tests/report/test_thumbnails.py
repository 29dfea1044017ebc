"""Which rows get a picture, and that it is theirs."""

import dataclasses
import io
from itertools import pairwise

import numpy as np
import pytest
import tables
from PIL import Image

from jepa_jax.data import Clips, Record, open_source
from jepa_jax.report import read_scores
from jepa_jax.report.pictures import Where, find_pictures
from jepa_jax.report.thumbnails import make_thumbnails, rows_to_show, sample


def shown(count, most, labels=None, groups=None, flagged=None, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=count)
    scores[::50] = np.nan
    labels = np.full(count, "", object) if labels is None else labels
    groups = np.full(count, -1) if groups is None else groups
    flagged = np.zeros(count, bool) if flagged is None else flagged
    return scores, rows_to_show(scores, labels, groups, flagged, most)


def test_both_extremes_come_first_and_none_twice():
    scores, rows = shown(5000, 1000)
    order = np.argsort(scores)[:4900]
    assert rows[:120].tolist() == order[:120].tolist()
    assert rows[120:240].tolist() == order[::-1][:120].tolist()
    assert len(rows) == len(set(rows.tolist())) == 1000
    assert np.isfinite(scores[rows]).all()
    assert set(sample(scores).tolist()) <= set(rows.tolist())


def test_every_class_and_range_of_scores_has_pictures():
    labels = np.array([f"c{i % 40}" for i in range(20_000)], object)
    scores, rows = shown(20_000, 2000, labels)
    chosen = np.zeros(20_000, bool)
    chosen[rows] = True
    for name in np.unique(labels):
        of_class = (labels == name) & np.isfinite(scores)
        edges = np.quantile(scores[of_class], np.linspace(0, 1, 11))
        for low, high in pairwise(edges):
            assert chosen[of_class & (scores >= low) & (scores <= high)].sum() >= 2


def test_members_of_groups_and_flagged_rows_are_shown():
    groups, flagged = np.full(9000, -1), np.zeros(9000, bool)
    groups[[4001, 4002, 4003]] = 0
    groups[[5001, 5002]] = 1
    flagged[6001] = True
    _, rows = shown(9000, 700, groups=groups, flagged=flagged)
    assert {4001, 4002, 4003, 5001, 5002, 6001} <= set(rows.tolist())


def test_all_are_shown_where_there_is_room():
    scores, rows = shown(300, 2000)
    assert sorted(rows.tolist()) == np.flatnonzero(np.isfinite(scores)).tolist()
    _, none = shown(1, 2000)
    assert none.size == 0


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(12):
        colour = rng.integers(0, 256, 3)
        pixels = np.broadcast_to(colour.astype(np.uint8), (900 + i, 1200, 3))
        Image.fromarray(pixels).save(tmp_path / f"{i:02d}.{'jpg' if i % 2 else 'png'}")
    return tmp_path


def decoded(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def colours_agree(folder, ids, pictures):
    for row, data in pictures.items():
        expected = np.asarray(Image.open(folder / ids[row]).convert("RGB")).mean((0, 1))
        assert np.abs(np.asarray(decoded(data)).mean((0, 1)) - expected).max() < 6


def test_each_picture_is_that_of_its_row(folder):
    source = open_source(folder)
    ids = [record.id for record in source]
    seen = []
    pictures = make_thumbnails(source, ids, [5, 0, 3], on_row=seen.append)
    assert sorted(pictures) == sorted(seen) == [0, 3, 5]
    colours_agree(folder, ids, pictures)
    for row, data in pictures.items():
        assert decoded(data).size == (256, round(256 * (900 + row) / 1200))


def test_images_added_since_the_scores_do_not_shift_the_pictures(folder):
    ids = [record.id for record in open_source(folder)][3:]
    pictures = make_thumbnails(open_source(folder), ids, [0, 8])
    assert sorted(pictures) == [0, 8]
    colours_agree(folder, ids, pictures)


def test_what_is_gone_or_broken_has_no_picture(folder):
    ids = [record.id for record in open_source(folder)]
    (folder / ids[2]).unlink()
    (folder / ids[4]).write_bytes(b"broken")
    assert sorted(make_thumbnails(open_source(folder), ids, range(6))) == [0, 1, 3, 5]


def test_rows_of_one_id_have_their_own_pictures():
    records = [
        Record("same.png", "x.tar", lambda c=c: Image.new("RGB", (4, 4), c))
        for c in ("red", "lime", "blue")
    ]
    source = open_source(records)
    pictures = make_thumbnails(source, ["same.png"] * 3, [0, 2])
    assert decoded(pictures[0]).getpixel((1, 1))[0] > 200
    assert decoded(pictures[2]).getpixel((1, 1))[2] > 200


def test_too_many_bytes_leave_out_the_least_needed():
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(4)]
    source = open_source([Record(str(i), "m", lambda i=i: noise[i]) for i in range(4)])
    every = make_thumbnails(source, list("0123"), [3, 1, 0, 2])
    limit = len(every[3]) + len(every[1])
    kept = make_thumbnails(source, list("0123"), [3, 1, 0, 2], most_bytes=limit)
    assert sorted(kept) == [1, 3]


def test_a_long_panorama_stays_visible():
    source = open_source([Record("p", "m", lambda: Image.new("RGB", (5000, 10)))])
    (data,) = make_thumbnails(source, ["p"], [0]).values()
    assert decoded(data).size == (256, 10)


@pytest.mark.parametrize("options", [{}, {"stride": 3}])
def test_of_a_clip_the_frame_in_the_middle(tmp_path, options):
    """Of three frames, green; in a window of all three, too."""
    for name, colours in {"a": ("red", "lime", "blue"), "b": ("blue", "lime", "red")}.items():
        (tmp_path / "clips" / name).mkdir(parents=True)
        for i, colour in enumerate(colours):
            Image.new("RGB", (40, 20), colour).save(tmp_path / "clips" / name / f"{i}.png")
    clips = Clips(tmp_path / "clips", 3, **options)
    rows = [tables.row(r.id, 1.0, stamp=r.stamp()) for r in clips]
    source = {"source": str(tmp_path / "clips")} | ({"source_options": options} if options else {})
    table = read_scores(tables.write_folder(tmp_path / "scores", rows, **source))
    find = lambda facts: find_pictures(
        dataclasses.replace(table, facts=facts), Where(), lambda: np.arange(2)
    )
    pictures, lacks = find({"clips": 3})
    assert (sorted(pictures), lacks) == ([0, 1], "")
    for data in pictures.values():
        assert decoded(data).size == (40, 20)
        assert np.abs(np.asarray(decoded(data)).mean((0, 1)) - [0, 255, 0]).max() < 6
    # A folder made before it was noted, or by another hand, has none, which is said.
    for facts in ({}, {"clips": "3"}, {"clips": -1}):
        assert find(facts)[1] == f"None of the images is in {tmp_path / 'clips'} any more."
