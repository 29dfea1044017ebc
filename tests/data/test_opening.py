"""What a user may name, and what the library says when it cannot be a source."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import BLUE, RED, colours, ids, png, tarred, write

from jepa_jax.data import (
    Chain,
    DatasetFolder,
    DatasetRows,
    FileList,
    Folder,
    HubDataset,
    ListFile,
    Npz,
    Parquet,
    Record,
    Source,
    Tar,
    open_source,
)


def table(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": [png(BLUE)]}), path)
    return path


def test_a_folder_a_file_and_a_list(tmp_path):
    image = write(tmp_path / "in" / "a.png", png(RED))
    assert open_source(tmp_path) == Folder(tmp_path)
    assert open_source(str(image)) == FileList((str(image),))
    assert ids(open_source([image, "b.png"])) == [str(image), "b.png"]
    assert isinstance(open_source(write(tmp_path / "l.txt", b"in/a.png")), ListFile)
    assert colours(open_source(write(tmp_path / "l.LST", b"in/a.png"))) == [RED]


def test_archives_tables_and_arrays(tmp_path):
    for name in ("a.tar", "a.tar.gz", "A.TGZ"):
        assert isinstance(open_source(write(tmp_path / name, tarred({}))), Tar)
    assert isinstance(open_source(table(tmp_path / "t.parquet")), Parquet)
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3, 3, 3), np.uint8))
    assert isinstance(open_source(tmp_path / "a.npz"), Npz)


def test_a_folder_of_shards_in_order(tmp_path):
    for name, colour in (("b.tar", BLUE), ("a.tar", RED)):
        write(tmp_path / "tars" / name, tarred({"x.png": png(colour)}))
    write(tmp_path / "tars" / "README.md", b"")
    source = open_source(tmp_path / "tars")
    assert isinstance(source, Chain)
    assert ids(source) == ["a.tar/x.png", "b.tar/x.png"] == ids(source)
    assert colours(source) == [RED, BLUE]
    assert source.count() is None
    for name in ("1.parquet", "0.parquet"):
        table(tmp_path / "tables" / name)
    source = open_source(tmp_path / "tables")
    assert ids(source) == ["0.parquet/0", "1.parquet/0"]
    assert source.count() == 2


def test_images_anywhere_below_go_before_shards(tmp_path):
    write(tmp_path / "a.tar", tarred({"x.png": png()}))
    write(tmp_path / "deep" / "er" / "i.png", png())
    assert ids(open_source(tmp_path)) == ["deep/er/i.png"]


def test_patterns(tmp_path):
    for name in ("a/0.tar", "b/0.tar", "b/1.tar"):
        write(tmp_path / name, tarred({"x.png": png()}))
    assert ids(open_source(f"{tmp_path}/*/0.tar")) == ["a/0.tar/x.png", "b/0.tar/x.png"]
    assert ids(open_source(f"{tmp_path}/b/*.tar")) == ["0.tar/x.png", "1.tar/x.png"]
    for name in ("i2.png", "i1.png"):
        write(tmp_path / name, png())
    assert ids(open_source(f"{tmp_path}/i*.png")) == [f"{tmp_path}/i1.png", f"{tmp_path}/i2.png"]
    write(tmp_path / "i3.tar", tarred({}))
    with pytest.raises(ValueError, match="must match images only"):
        open_source(f"{tmp_path}/i*")
    with pytest.raises(FileNotFoundError, match="no file matches"):
        open_source(f"{tmp_path}/*.webp")


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    path = write(tmp_path / "a[1].png", png(RED))
    assert colours(open_source(str(path))) == [RED]


def test_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    assert open_source("hf:owner/name:train") == HubDataset("owner/name", None, "train")
    rows = datasets.Dataset.from_dict({"image": [png(RED)]})
    rows.save_to_disk(str(tmp_path / "d"))
    assert open_source(tmp_path / "d") == DatasetFolder(tmp_path / "d")
    in_memory = open_source(rows)
    assert isinstance(in_memory, DatasetRows)
    assert colours(in_memory) == [RED]


def test_a_source_is_itself_and_records_are_a_source():
    source = HubDataset("owner/name")
    assert open_source(source) is source
    records = [Record("a", "memory", lambda: None)]
    assert ids(open_source(records)) == ["a"]
    assert open_source(records).count() == 1


@pytest.mark.parametrize(
    "kind", [Folder, FileList, ListFile, Tar, Parquet, Npz, DatasetFolder, DatasetRows, HubDataset]
)
def test_every_source_has_the_protocol(kind):
    fields = set(getattr(kind, "__dataclass_fields__", ()))
    assert {"name", "count", "__iter__", "__str__"} <= fields | set(dir(kind))
    assert "max_pixels" in fields
    assert isinstance(HubDataset("a/b"), Source)


def test_nothing_there(tmp_path):
    message = r"no file or folder 'owner/name' .*write 'hf:owner/name'"
    with pytest.raises(FileNotFoundError, match=message):
        open_source("owner/name")


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match=r"no images in .*subfolders.*\.jpg.*\.tar and \.parquet"):
        open_source(tmp_path)


def test_two_kinds_of_shards_are_not_guessed_between(tmp_path):
    write(tmp_path / "a.tar", tarred({}))
    table(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="1 tar and 1 Parquet files"):
        open_source(tmp_path)


def test_an_extension_that_is_not_known(tmp_path):
    with pytest.raises(ValueError, match=r"'\.docx'; known are \.tar, .*\.parquet.*\.jpg"):
        open_source(write(tmp_path / "a.docx", b"x"))


@pytest.mark.parametrize("source", [3, None, np.zeros((2, 2)), {"a": 1}])
def test_another_type(source):
    with pytest.raises(TypeError, match="`source` must be a path"):
        open_source(source)


def test_a_list_of_other_things_and_an_empty_one():
    with pytest.raises(TypeError, match="must hold paths, got int"):
        open_source(["a.png", 3])
    with pytest.raises(ValueError, match="at least one"):
        open_source([])


def test_max_pixels_reaches_every_kind(tmp_path):
    write(tmp_path / "i" / "a.png", png())
    write(tmp_path / "a.tar", tarred({"a.png": png()}))
    write(tmp_path / "l.txt", b"i/a.png")
    table(tmp_path / "t.parquet")
    np.savez(tmp_path / "a.npz", x=np.zeros((1, 2, 3, 3), np.uint8))
    for name in ("i", "i/a.png", "a.tar", "l.txt", "t.parquet", "a.npz", "*.tar", "i/*.png"):
        assert colours(open_source(f"{tmp_path}/{name}", max_pixels=5)) == ["UnreadableImage"], name
        assert "UnreadableImage" not in colours(open_source(f"{tmp_path}/{name}", max_pixels=6))


def test_importing_needs_neither_pyarrow_nor_datasets():
    code = (
        "import sys; sys.modules['pyarrow'] = sys.modules['datasets'] = None; import jepa_jax.data"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
