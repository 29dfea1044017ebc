"""What is written for FiftyOne: its JSON, by the keys that its importer reads."""

import json
import os

import pytest
from tables import row, write_folder

from jepa_jax.report.fiftyone_dataset import write_fiftyone
from jepa_jax.store.table import read_scores

SCORES = [-50.0, -10.0, None, -30.0, -20.0]


@pytest.fixture
def table(tmp_path):
    rows = [row(f"{i} 'é'.png", score) for i, score in enumerate(SCORES)]
    return read_scores(write_folder(tmp_path / "scores", rows))


def test_samples_fields_tags_and_views(table, tmp_path):
    assert write_fiftyone(tmp_path / "fo", table, ["a", "b", "", "a", "b"], extremes=1) == 5
    samples = json.loads((tmp_path / "fo" / "samples.json").read_text())["samples"]
    assert [sample["jepa_score"] for sample in samples] == SCORES
    assert [sample["tags"] for sample in samples] == [
        ["least typical"],
        ["most typical"],
        [],
        [],
        [],
    ]
    assert samples[0]["filepath"] == os.path.abspath("photos/0 'é'.png")
    assert [sample["jepa_label"] for sample in samples] == ["a", "b", None, "a", "b"]
    assert (samples[2]["jepa_status"], samples[2]["jepa_rank"]) == ("unreadable", None)
    assert samples[0]["jepa_rank"] == 62
    metadata = json.loads((tmp_path / "fo" / "metadata.json").read_text())
    types = {field["name"]: field["ftype"] for field in metadata["sample_fields"]}
    own = {name for sample in samples for name in sample if name.startswith("jepa_")}
    assert own <= types.keys()
    assert types["jepa_score"] == "fiftyone.core.fields.FloatField"
    views = {view["name"]: view["view_stages"] for view in metadata["saved_views"]}
    assert list(views) == ["least typical", "most typical", "without a score"]
    exists, by, limit = (json.loads(stage) for stage in views["least typical"])
    # An empty number would sort before the lowest.
    assert exists["kwargs"] == [["field", "jepa_score"], ["bool", True]]
    assert dict(by["kwargs"])["reverse"] is False
    assert limit["kwargs"] == [["limit", 1]]


def test_a_dataset_is_replaced_and_nothing_else(table, tmp_path):
    for _ in range(2):
        write_fiftyone(tmp_path / "fo", table)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other things"):
        write_fiftyone(tmp_path / "other", table)
    with pytest.raises(ValueError, match="a folder of scores"):
        write_fiftyone(table.folder / "fo", table)
    with pytest.raises(ValueError, match="`extremes` must be at least 1, got 0"):
        write_fiftyone(tmp_path / "fo", table, extremes=0)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["a.tar", "a.tar"], "2 images are within 'a.tar'"),
        (["s3://bucket/a.png", "b.png"], "files of this machine, got 's3://bucket/a.png'"),
    ],
)
def test_images_that_are_no_files_are_refused(tmp_path, sources, message):
    rows = [row(str(i), 1.0, source=source) for i, source in enumerate(sources)]
    table = read_scores(write_folder(tmp_path / "scores", rows))
    with pytest.raises(ValueError, match=message):
        write_fiftyone(tmp_path / "fo", table)
    assert not (tmp_path / "fo").exists()
