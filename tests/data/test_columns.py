"""Columns of every type that tables have: images, ids, and the ways to them."""

import datetime
import decimal
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import BLUE, GREEN, RED, colours, ids, png

from jepa_jax.data import DatasetRows, Parquet, UnreadableImage, open_source
from jepa_jax.data.columns import choose_id_column, choose_image_column
from jepa_jax.data.left_out import left_out

datasets = pytest.importorskip("datasets")

A, B = png(RED), png(BLUE)
PADDED = [data.ljust(max(len(A), len(B)) + 3, b"\0") for data in (A, B)]


def saved(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


IMAGES = {
    "binary": pa.array([A, B], pa.binary()),
    "large_binary": pa.array([A, B], pa.large_binary()),
    "binary_view": pa.array([A, B], pa.binary_view()),
    "fixed_size_binary": pa.array(PADDED, pa.binary(len(PADDED[0]))),
    "dictionary": pa.array([A, B], pa.binary()).dictionary_encode(),
    "dictionary of large_binary": pa.array([A, B], pa.large_binary()).dictionary_encode(),
    "struct": pa.array([{"bytes": A, "path": "x"}, {"bytes": B, "path": None}]),
    "struct of views": pa.array(
        [{"bytes": A}, {"bytes": B}], pa.struct([("bytes", pa.binary_view())])
    ),
    "list of one": pa.array([[A], [B]]),
    "list of one struct": pa.array([[{"bytes": A, "path": "x"}], [{"bytes": B, "path": None}]]),
    "large_list": pa.array([[A], [B]], pa.large_list(pa.binary())),
    "fixed_size_list": pa.array([[A], [B]], pa.list_(pa.binary(), 1)),
    "pixels": pa.array([np.full((2, 3, 3), c).tolist() for c in (RED, BLUE)]),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_of_every_type(tmp_path, kind):
    path = saved(tmp_path / "t.parquet", image=IMAGES[kind], label=[1, 2])
    assert colours(Parquet(path)) == [RED, BLUE]
    assert colours(open_source(path)) == [RED, BLUE]


@pytest.mark.parametrize("kind", ["binary", "binary_view", "dictionary", "struct", "list of one"])
def test_images_inside_of_structs(tmp_path, kind):
    nested = pa.StructArray.from_arrays([IMAGES[kind], pa.array([1, 2])], ["image", "n"])
    path = saved(tmp_path / "t.parquet", sample=nested, text=["a", "b"])
    assert colours(Parquet(path)) == [RED, BLUE]
    assert colours(Parquet(path, column="sample.image")) == [RED, BLUE]
    with pytest.raises(ValueError, match="there is no 'picture' in struct"):
        Parquet(path, column="sample.picture").check()


def test_a_place_in_a_list_and_a_list_of_several(tmp_path):
    path = saved(tmp_path / "t.parquet", images=pa.array([[A, B], [B], [], None]))
    assert colours(Parquet(path)) == ["UnreadableImage", BLUE, "UnreadableImage", "UnreadableImage"]
    with pytest.raises(UnreadableImage, match=r"a list of 2 images.*'images\.0'"):
        next(iter(Parquet(path))).load()
    first = Parquet(path, column="images.0")
    assert colours(first) == [RED, BLUE, "UnreadableImage", "UnreadableImage"]
    assert colours(Parquet(path, column="images.1"))[:2] == [BLUE, "UnreadableImage"]


def test_structs_in_a_list_in_a_struct(tmp_path):
    cells = [{"pages": [{"scan": A, "n": 1}, {"scan": B, "n": 2}], "name": "x"}]
    path = saved(tmp_path / "t.parquet", document=pa.array(cells))
    source = Parquet(path, column="document.pages.1.scan", id_column="document.name")
    assert (ids(source), colours(source)) == (["t.parquet/x"], [BLUE])


def test_a_column_whose_name_has_a_dot(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a.jpg": [A], "a": [{"jpg": B}]}), path)
    assert colours(Parquet(path, column="a.jpg")) == [RED]


UUID = uuid.UUID("00112233445566778899aabbccddeeff")
HEX = UUID.hex
IDS = {
    "string": (pa.array(["x", "y"]), ["x", "y"]),
    "large_string": (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
    "string_view": (pa.array(["x", "y"], pa.string_view()), ["x", "y"]),
    "dictionary": (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
    "dictionary of integers": (pa.array([7, 8]).dictionary_encode(), ["7", "8"]),
    "binary of 16": (pa.array([UUID.bytes] * 1 + [bytes(16)], pa.binary(16)), [HEX, "0" * 32]),
    "binary": (pa.array([UUID.bytes, b"k-1"]), [HEX, "k-1"]),
    "binary_view": (pa.array([UUID.bytes, b"k"], pa.binary_view()), [HEX, "k"]),
    "large_binary": (pa.array([b"a", b"\xff"], pa.large_binary()), ["a", "ff"]),
    "uuid": (pa.array([UUID.bytes, bytes(16)], pa.uuid()), [HEX, "0" * 32]),
    "float": (pa.array([7.0, 12345678901.0]), ["7", "12345678901"]),
    "float32": (pa.array([7.0, 0.5], pa.float32()), ["7", "0.5"]),
    "float with a null": (pa.array([7.0, None]), ["7", "#1"]),
    "uint64": (pa.array([2**64 - 1, 0], pa.uint64()), [str(2**64 - 1), "0"]),
    "decimal": (pa.array([decimal.Decimal("7"), decimal.Decimal("8")]), ["7", "8"]),
    "date": (pa.array([datetime.date(2026, 1, 2), datetime.date(2026, 1, 3)]), None),
    "list of one": (pa.array([["x"], ["y"]]), ["x", "y"]),
}


@pytest.mark.parametrize("name", ["uid", "ID"])
@pytest.mark.parametrize("kind", IDS)
def test_ids_of_every_type(tmp_path, kind, name):
    values, expected = IDS[kind]
    path = saved(tmp_path / "t.parquet", **{name: values, "image": [A, B]})
    expected = ["2026-01-02", "2026-01-03"] if expected is None else expected
    assert ids(Parquet(path)) == [f"t.parquet/{text}" for text in expected]
    assert left_out(Parquet(path)) == ()


def test_ids_within_structs_and_lists(tmp_path):
    meta = pa.array([{"uid": "x", "n": 1}, {"uid": "y", "n": 2}])
    path = saved(tmp_path / "t.parquet", meta=meta, tags=[["p", "q"], ["r"]], image=[A, B])
    assert ids(Parquet(path)) == ["t.parquet/0", "t.parquet/1"]
    assert ids(Parquet(path, id_column="meta.uid")) == ["t.parquet/x", "t.parquet/y"]
    assert ids(Parquet(path, id_column="tags.1")) == ["t.parquet/q", "t.parquet/#1"]
    for wrong in ("nothing", "meta", "meta.none"):
        with pytest.raises(ValueError, match=r"no column|is of struct"):
            Parquet(path, id_column=wrong).check()


def test_a_column_named_like_ids_that_is_not_taken_is_said(tmp_path):
    path = saved(tmp_path / "t.parquet", uid=[True, False], image=[A, B], photo=[B, A])
    assert {(e.example, e.reason.split(":")[0]) for e in left_out(Parquet(path))} == {
        ("photo", "of images too"),
        ("uid", "named like ids, of bool"),
    }


def test_hashes_are_no_images_and_images_no_ids(tmp_path):
    hashes = pa.array([bytes(16), bytes(range(16))])
    path = saved(tmp_path / "t.parquet", uid=hashes, content=[A, B])
    assert colours(Parquet(path)) == [RED, BLUE]
    fixed = saved(tmp_path / "f.parquet", sha=pa.array([bytes(32)] * 2, pa.binary(32)), data=[A, B])
    assert colours(Parquet(fixed)) == [RED, BLUE]


def test_the_same_of_a_dataset_and_of_a_stream():
    rows = {
        "meta": [{"uid": "x", "shot": {"bytes": A, "path": None}}, {"uid": "y", "shot": None}],
        "images": [[A, B], [B]],
        "key": [b"\xff" * 16, b"\0" * 16],
        "label": [1, 2],
    }
    dataset = datasets.Dataset.from_dict(rows)
    for source in (dataset, dataset.to_iterable_dataset()):
        rows = DatasetRows(source, column="images.0")
        assert ids(rows) == ["ff" * 16, "00" * 16]
        assert colours(rows) == [RED, BLUE]
        rows = DatasetRows(source, column="meta.shot", id_column="meta.uid")
        assert ids(rows) == ["x", "y"]
        assert colours(rows) == [RED, "UnreadableImage"]
    with pytest.raises(ValueError, match="has no column 'nothing'"):
        list(DatasetRows(dataset, column="nothing"))


def test_views_and_dictionaries_in_a_saved_dataset(tmp_path):
    features = datasets.Features(
        {"img": datasets.Value("large_binary"), "uid": datasets.Value("large_string")}
    )
    rows = datasets.Dataset.from_dict({"img": [A, B], "uid": ["x", "y"]}, features=features)
    rows.save_to_disk(str(tmp_path / "d"))
    source = open_source(tmp_path / "d")
    assert (ids(source), colours(source)) == (["x", "y"], [RED, BLUE])


def test_the_first_of_several_candidates_is_by_name():
    schema = pa.schema([("blob", pa.binary()), ("JPG", pa.binary()), ("id", pa.int64())])
    image = choose_image_column(schema, None, "t")
    assert (image.top, choose_id_column(schema, None, image, "t").top) == ("JPG", "id")


def test_a_datasets_paths_out_of_its_folder(tmp_path):
    (tmp_path / "out.png").write_bytes(png(GREEN))
    rows = {"image": ["../out.png", str(tmp_path / "out.png")]}
    dataset = datasets.Dataset.from_dict(rows)
    dataset.save_to_disk(str(tmp_path / "d"))
    assert colours(open_source(tmp_path / "d")) == ["UnreadableImage"] * 2
    assert colours(open_source(tmp_path / "d", outside=True)) == [GREEN] * 2
    assert colours(open_source(dataset))[1] == GREEN  # The user's own, in this process.


@pytest.mark.parametrize("kind", [pa.null(), pa.map_(pa.string(), pa.binary()), pa.int64()])
def test_a_column_that_is_named_so_and_holds_something_else_is_said(kind):
    schema = pa.schema([("id", pa.string()), ("image", kind)])
    with pytest.raises(ValueError, match=r"'image' is of (null|map<|int64).*, no bytes, pixels or"):
        choose_image_column(schema, None, "t.parquet")
