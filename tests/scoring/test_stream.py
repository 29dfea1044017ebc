"""Streams of inputs of several sizes: batches of one size, rows in order."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoints import CROPPED, VARIANTS, randomized, write
from image_files import png
from image_files import write as write_file

from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.data import Record
from jepa_jax.scoring import stream
from jepa_jax.scoring.batch_sizes import Plan
from jepa_jax.scoring.rows import Prepared
from jepa_jax.scoring.scores import Scores

# Arrays and scorers that only say who they are stand in for images and encoders.
pytestmark = pytest.mark.usefixtures("annotations_unchecked")


class Recording:
    """A scorer whose score of an image is its first value, and what it was asked for."""

    in_flight = 2

    def __init__(self):
        self.batches, self.waited = [], []

    def plan(self, height, width):
        return Plan(1, 3)

    def batch(self, height, width):
        return 3

    def dispatch(self, images, names):
        self.batches.append((images.shape, list(names)))
        number = len(self.batches)

        def wait():
            self.waited.append(number)
            values = images[:, 0, 0, 0]
            none = np.zeros(len(images))
            return Scores(values, none, none, none.astype(int), none[:, None])

        return wait


def prepared(number, *sizes):
    inputs = [np.full((h, w, 3), 10 * number + view) for view, (h, w) in enumerate(sizes)]
    return Prepared(Record(f"{number}", "memory", lambda: None), inputs)


def scores_of(scorer, items):
    return [
        (item.record.id, None if scores is None else scores.jepa_score.tolist())
        for item, scores in stream.scored(scorer, items)
    ]


def test_batches_have_one_size_and_rows_keep_their_order():
    sizes = [(4, 4), (4, 8), (4, 4), (8, 4), (4, 4), (4, 8), (4, 4), (4, 8), (4, 4)]
    scorer = Recording()
    found = scores_of(scorer, [prepared(i, size) for i, size in enumerate(sizes)])
    assert found == [(f"{i}", [10.0 * i]) for i in range(9)]
    full = [names for _, names in scorer.batches if len(names) == 3]
    assert full == [["0/0", "2/0", "4/0"], ["1/0", "5/0", "7/0"]]
    assert scorer.waited == sorted(scorer.waited) == [1, 2, 3, 4]


def test_views_of_one_item_may_differ_in_size():
    found = scores_of(Recording(), [prepared(0, (4, 4), (4, 8)), prepared(1), prepared(2, (4, 8))])
    assert found == [("0", [0.0, 1.0]), ("1", None), ("2", [20.0])]


def test_a_rare_size_holds_up_no_more_than_it_must(monkeypatch):
    monkeypatch.setattr(stream, "MOST_WAITING", 8)
    drawn = []

    def items():
        for i in range(40):
            drawn.append(i)
            yield prepared(i, (4, 8) if i == 0 else (4, 4))

    scorer = Recording()
    first = next(stream.scored(scorer, items()))
    assert first[0].record.id == "0"
    assert len(drawn) <= 10


def test_more_sizes_than_are_compiled_for_are_rows_with_an_error(monkeypatch):
    monkeypatch.setattr(stream, "MOST_SIZES", 2)
    items = [prepared(i, (4, 4 + i % 4)) for i in range(8)]
    found = list(stream.scored(Recording(), items))
    assert [item.record.id for item, _ in found] == [f"{i}" for i in range(8)]
    errors = {i: item.error for i, (item, scores) in enumerate(found) if scores is None}
    assert list(errors) == [2, 3, 6, 7]
    assert "an input of 6 x 4 pixels, after 2 other sizes" in errors[2]


@pytest.fixture(scope="module")
def uncropped(tmp_path_factory):
    settings = CROPPED | {"do_center_crop": False, "size": {"shortest_edge": 28}}
    folder = tmp_path_factory.mktemp("uncropped")
    return load_encoder(write(randomized(VARIANTS["dinov2"]), settings, folder))


def test_a_run_of_images_of_several_sizes(uncropped, tmp_path):
    sizes = {"a.png": (40, 40), "b.png": (60, 40), "c.png": (50, 50), "d.png": (4000, 40)}
    for name, size in sizes.items():
        write_file(tmp_path / "in" / name, png((90, 20, 200), size))
    scorer = Scorer(uncropped, Exact(), batch_size=2)
    summary = scorer.run(tmp_path / "in", tmp_path / "out")
    assert summary.counts == {"ok": 3, "unreadable": 1}
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert [row["id"] for row in rows] == sorted(sizes)
    assert "at most 16 times 28 x 28 expected" in rows[3]["error"]
    from PIL import Image

    alone = uncropped.preprocess(Image.open(tmp_path / "in" / "b.png"))
    assert alone.shape == (28, 42, 3)
    expected = scorer.score(alone[None], ["b.png/0"]).jepa_score[0]
    assert rows[1]["jepa_score"] == pytest.approx(expected, abs=1e-3)
