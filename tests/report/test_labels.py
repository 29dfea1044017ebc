"""Classes from folders, and from tables."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from PIL import Image

from jepa_jax.data import open_source
from jepa_jax.report import read_labels

IDS = ["train/cat/1.jpg", "train/dog/2.jpg", "shards/0.tar/bird/3.jpg", "4.jpg", "/abs/cat/5.jpg"]


def test_folders():
    assert read_labels(IDS, "folder").tolist() == [
        "train/cat",
        "train/dog",
        "bird",
        "",
        "abs/cat",
    ]
    assert read_labels(IDS, "top").tolist() == ["train", "train", "bird", "", "abs"]
    assert not any(read_labels(IDS, "none"))


def test_the_name_of_an_archive_or_table_is_no_class():
    ids = ["0.tar/a.jpg", "1.tar.gz/cat/b.jpg", "x.parquet/17", "t.npz/images/3"]
    assert read_labels(ids).tolist() == ["", "cat", "", "images"]
    below = ["data/train/0.tar/cat/a.jpg", "split=val/part-0.parquet/17", "cat/a.tar"]
    assert read_labels(below, "folder").tolist() == ["cat", "", "cat"]


def test_a_folder_for_each_image_is_no_class():
    ids = [f"{'ab'[i % 2]}/{i}/x.jpg" for i in range(200)]
    assert set(read_labels(ids)) == {"a", "b"}
    assert not any(read_labels([f"{i}/x.jpg" for i in range(200)]))


def test_labels_of_a_table(tmp_path):
    csv, table = tmp_path / "l.csv", tmp_path / "l.parquet"
    csv.write_text('label,id\n"a, b",train/cat/1.jpg\n007,4.jpg\n')
    assert read_labels(IDS, str(csv)).tolist() == ["a, b", "", "", "007", ""]
    pq.write_table(pa.table({"id": ["4.jpg", "train/dog/2.jpg"], "label": [3, None]}), table)
    assert read_labels(IDS, str(table)).tolist() == ["", "", "", "3", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,class\n4.jpg,a\n", "must have the columns 'id' and 'label', it has 'id', 'class'"),
        ("id,label\nx.jpg,a\n", "a label for none of the 5 ids, such as 'train/cat/1.jpg'"),
        ("id,label\n4.jpg,a\n4.jpg,b\n", "gives '4.jpg' two labels, 'a' and 'b'"),
        ("id,label\n4.jpg\n", "not a readable table of labels"),
    ],
)
def test_tables_that_are_none(tmp_path, content, message):
    path = tmp_path / "l.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_labels(IDS, str(path))


def test_a_missing_table():
    with pytest.raises(FileNotFoundError, match=r"no file 'nowhere\.csv'"):
        read_labels(IDS, "nowhere.csv")


@pytest.fixture
def animals():
    features = Features(image=Value("binary"), label=ClassLabel(names=["cat", "dog"]))
    data = {"image": [b"", b"", b"x"], "label": [1, 0, None]}
    return Dataset.from_dict(data, features=features)


def test_class_names_of_a_column_of_the_source(tmp_path, animals):
    for i in range(2):
        animals.to_parquet(tmp_path / "tables" / f"{i}.parquet")
    source = str(tmp_path / "tables")
    ids = [record.id for record in open_source(source)]
    expected = ["dog", "cat", "", "dog", "cat", ""]
    assert read_labels(ids, "column:label", source).tolist() == expected
    # Only the first images were scored.
    assert read_labels(ids[:4], "column:label", source).tolist() == expected[:4]
    animals.save_to_disk(tmp_path / "saved")
    saved = str(tmp_path / "saved")
    ids = [record.id for record in open_source(saved)]
    assert read_labels(ids, "column:label", saved).tolist() == expected[:3]


def test_plain_columns_of_text_and_numbers(tmp_path):
    path = tmp_path / "t.parquet"
    table = {"id": ["a", "b"], "image": [b"", b""], "kind": ["x", None], "year": [1999, 2001]}
    pq.write_table(pa.table(table), path)
    ids = ["t.parquet/a", "t.parquet/b"]
    assert read_labels(ids, "column:kind", str(path)).tolist() == ["x", ""]
    assert read_labels(ids, "column:year", str(path)).tolist() == ["1999", "2001"]
    with pytest.raises(ValueError, match="no column 'class'; its columns are 'id', 'im"):
        read_labels(ids, "column:class", str(path))
    with pytest.raises(ValueError, match="other images now than the scores"):
        read_labels(["t.parquet/b", "t.parquet/a"], "column:kind", str(path))
    (tmp_path / "images").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "images" / "x.png")
    with pytest.raises(ValueError, match="needs Parquet files or a data set"):
        read_labels(["x.png"], "column:kind", str(tmp_path / "images"))


def test_a_column_of_a_source_as_it_was_scored(tmp_path):
    table = {"image": [b"", b""], "other": [b"", b""], "name": ["a", "b"], "kind": ["x", "y"]}
    pq.write_table(pa.table(table), tmp_path / "0.parquet")
    (tmp_path / "1.parquet").write_bytes(b"damaged")
    options = {"id_column": "name", "image_column": "other"}
    ids = ["0.parquet/a", "0.parquet/b", "1.parquet/(the file)"]
    found = read_labels(ids, "column:kind", str(tmp_path), options)
    assert found.tolist() == ["x", "y", ""]
    with pytest.raises(ValueError, match="other images now"):
        read_labels(ids, "column:kind", str(tmp_path))
