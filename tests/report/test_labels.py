"""Classes from folders, and from tables."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jepa_jax.report import read_labels

IDS = ["train/cat/1.jpg", "train/dog/2.jpg", "shards/0.tar/bird/3.jpg", "4.jpg", "/abs/cat/5.jpg"]


def test_folders():
    assert read_labels(IDS, "folder").tolist() == [
        "train/cat",
        "train/dog",
        "shards/0.tar/bird",
        "",
        "abs/cat",
    ]
    assert read_labels(IDS, "top").tolist() == ["train", "train", "shards", "", "abs"]
    assert not any(read_labels(IDS, "none"))


def test_the_name_of_an_archive_or_table_is_no_class():
    ids = ["0.tar/a.jpg", "1.tar.gz/cat/b.jpg", "x.parquet/17", "t.npz/images/3"]
    assert read_labels(ids).tolist() == ["", "cat", "", "images"]


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
