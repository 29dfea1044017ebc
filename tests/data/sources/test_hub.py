"""Datasets of `datasets`: stored, streamed, by name; nothing is downloaded."""

import io

import numpy as np
import pytest
from image_files import BLUE, GREEN, RED, colours, ids, png

from jepa_jax.data import DatasetFolder, DatasetRows, HubDataset

datasets = pytest.importorskip("datasets")

CELLS = [
    {"bytes": png(RED), "path": None},
    {"bytes": b"broken", "path": None},
    None,
    {"bytes": png(BLUE), "path": None},
]
COLOURS = [RED, "UnreadableImage", "UnreadableImage", BLUE]


def images(**columns):
    features = datasets.Features({"photo": datasets.Image(), "label": datasets.Value("int64")})
    columns = {"photo": CELLS, "label": [0, 1, 2, 3], **columns}
    if "id" in columns:
        features["id"] = datasets.Value("string")
    return datasets.Dataset.from_dict(columns, features=features)


def test_a_stored_dataset_and_a_broken_image_is_a_row(tmp_path):
    images().save_to_disk(str(tmp_path / "d"))
    source = DatasetFolder(tmp_path / "d")
    assert DatasetFolder.recognises(tmp_path / "d")
    assert ids(source) == ["0", "1", "2", "3"] == ids(source)
    assert colours(source) == COLOURS
    assert source.count() == 4
    assert {record.source for record in source} == {str(tmp_path / "d")}


def test_splits_come_before_the_ids(tmp_path):
    splits = datasets.DatasetDict(
        {"train": images(id=list("abcd")), "test": images(id=list("abca"))}
    )
    splits.save_to_disk(str(tmp_path / "d"))
    source = DatasetFolder(tmp_path / "d")
    assert DatasetFolder.recognises(tmp_path / "d")
    expected = [f"train/{i}" for i in "abcd"] + ["test/a", "test/b", "test/c", "test/a#3"]
    assert ids(source) == expected
    assert source.count() == 8
    assert ids(DatasetRows(datasets.DatasetDict({"train": images()}))) == ["0", "1", "2", "3"]


def test_iterating_reads_no_image(no_decoding, monkeypatch):
    source = DatasetRows(images(id=list("abcd")))
    monkeypatch.setattr(
        DatasetRows, "_load_row", lambda *_: pytest.fail("a row was read while iterating")
    )
    assert ids(source) == list("abcd")


def test_a_transform_of_the_users_is_not_applied():
    dataset = images().with_transform(lambda rows: {"nothing": list(rows["label"])})
    assert colours(DatasetRows(dataset)) == COLOURS


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("stream", [False, True])
def test_arrays_keep_their_type(dtype, stream):
    scale = {"uint8": 1, "uint16": 257, "float32": 1 / 255}[dtype]
    values = (np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3) * scale).astype(dtype)
    features = datasets.Features({"pixels": datasets.Array3D((4, 5, 3), dtype)})
    dataset = datasets.Dataset.from_dict({"pixels": list(values)}, features=features)
    source = DatasetRows(dataset.to_iterable_dataset() if stream else dataset)
    expected = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    for record, image in zip(source, expected, strict=True):
        np.testing.assert_array_equal(record.load(), image)


def test_nested_lists_are_arrays():
    features = datasets.Features({"img": datasets.List(datasets.List(datasets.Value("uint8")))})
    dataset = datasets.Dataset.from_dict({"img": [[[1, 2], [3, 4]]]}, features=features)
    (record,) = DatasetRows(dataset)
    np.testing.assert_array_equal(np.asarray(record.load())[:, :, 0], [[1, 2], [3, 4]])


def test_a_dataset_without_images_lists_its_columns():
    dataset = datasets.Dataset.from_dict({"text": ["a"], "label": [1]})
    with pytest.raises(ValueError, match=r"dataset mine has no column of images.*'text', 'label'"):
        list(DatasetRows(dataset, "mine"))


def stream_without_features():
    def rows():
        yield {"__key__": "k1", "jpg": png(RED)}
        yield {"__key__": "k2", "jpg": png(GREEN)}

    stream = datasets.IterableDataset.from_generator(rows)
    assert stream.features is None
    return stream


def test_a_stream_that_does_not_declare_its_columns():
    source = DatasetRows(stream_without_features())
    assert ids(source) == ["k1", "k2"]
    assert colours(source) == [RED, GREEN]
    assert source.count() is None


def test_by_name_is_streamed_with_its_config_and_split(monkeypatch):
    asked = []

    def load_dataset(path, config, split, streaming):
        asked.append((path, config, split, streaming))
        return images(id=list("abcd")).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    source = HubDataset.from_spec("hf:owner/photos/small:train")
    assert ids(source) == list("abcd")
    assert colours(source) == COLOURS
    assert asked == [("owner/photos", "small", "train", True)] * 2
    assert {record.source for record in source} == {"hf:owner/photos/small:train"} == {source.name}
    assert source.count() is None


@pytest.mark.parametrize(
    ("address", "followed"),
    [
        ("hf://datasets/owner/photos@abc/a.png", True),
        ("zip://a.png::hf://datasets/owner/photos@abc/images.zip", True),
        ("https://huggingface.co/datasets/owner/photos/resolve/main/a.png", True),
        ("hf://datasets/owner/photos-2@abc/a.png", False),
        ("hf://datasets/owner/photos@abc/../../other/a.png", False),
        ("zip://a.png::file:///etc/x.zip", False),
        ("hf://datasets/owner/photos@abc/a.zip::http://10.0.0.1/a.png", False),
        ("http://10.0.0.1/a.png", False),
        ("file:///etc/passwd", False),
        ("/etc/passwd", False),
        ("../a.png", False),
    ],
)
def test_a_hub_dataset_names_addresses_of_its_own_alone(monkeypatch, address, followed):
    cells = {"image": [{"bytes": None, "path": address}]}
    features = datasets.Features({"image": datasets.Image()})
    stream = datasets.Dataset.from_dict(cells, features=features).to_iterable_dataset()
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: stream)
    monkeypatch.setattr("fsspec.open", lambda path, mode: io.BytesIO(png(RED)))
    assert colours(HubDataset("owner/photos")) == [RED if followed else "UnreadableImage"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("hf:owner/name", ("owner/name", None, None)),
        ("hf:mnist:test", ("mnist", None, "test")),
        ("hf:owner/name/config", ("owner/name", "config", None)),
        ("hf:owner/name:train[:10%]", ("owner/name", None, "train[:10%]")),
    ],
)
def test_names(spec, expected):
    source = HubDataset.from_spec(spec)
    assert (source.path, source.config, source.split) == expected
    assert source.name == spec


@pytest.mark.parametrize("spec", ["hf:", "hf:a//b", "hf:a/b/c/d", "hf::train"])
def test_names_that_are_none(spec):
    with pytest.raises(ValueError, match="is written 'hf:owner/name"):
        HubDataset.from_spec(spec)
