"""What a user may name, and what the library says when it cannot be a source."""

import os
import subprocess
import sys

import datasets
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
from jepa_jax.data.left_out import left_out
from jepa_jax.data.opening import source_options
from jepa_jax.object_stores import Address


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
        assert isinstance(open_source(write(tmp_path / name, tarred({"a.png": png()}))), Tar)
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


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"0.tar": tarred({"x.png": png()}), "deep/i.PNG": png()},
            [
                "1 image (such as 'deep/i.PNG')",
                "1 tar file (such as '0.tar')",
                "**/*.PNG",
                "/*.tar'",
            ],
        ),
        (
            {"data/0.tar": tarred({}), "data/1.tar.gz": b"", "preview": png(), "b.jpg": png()},
            ["2 images", "2 tar files", "**/*.jpg'", "**/*{.tar,.tar.gz}'"],
        ),
        ({"data/0.tar": tarred({}), "t.parquet": "table"}, ["1 tar file", "1 Parquet file"]),
        ({"data/t.parquet": "table", "assets/b.png": png()}, ["1 image", "**/*.parquet'"]),
        ({"set": "dataset", "b.png": png()}, ["1 saved data set (such as 'set')", "/set'"]),
        ({"set": "dataset", "0.tar": tarred({})}, ["1 saved data set", "1 tar file"]),
    ],
)
def test_images_of_several_kinds_are_not_chosen_between(tmp_path, files, said):
    for name, content in files.items():
        if content == "table":
            table(tmp_path / name)
        elif content == "dataset":
            datasets.Dataset.from_dict({"image": [png()]}).save_to_disk(str(tmp_path / name))
        else:
            write(tmp_path / name, content)
    with pytest.raises(ValueError, match="one kind is scored at a time") as error:
        open_source(tmp_path)
    for text in said:
        assert text in str(error.value)


def test_each_pattern_that_is_named_reads_one_kind(tmp_path):
    write(tmp_path / "data" / "0.tar", tarred({"x.png": png(RED)}))
    write(tmp_path / "[a]" / "b.png", png(BLUE))
    with pytest.raises(ValueError, match="one kind") as error:
        open_source(tmp_path)
    ways = [part for part in str(error.value).split("'") if "*" in part]
    assert [colours(open_source(way)) for way in ways] == [[BLUE], [RED]]


def test_tables_without_images_beside_images_or_archives_are_left_out(tmp_path):
    pq.write_table(pa.table({"url": ["x"], "caption": ["y"]}), tmp_path / "0.parquet")
    write(tmp_path / "0.tar", tarred({"x.png": png()}))
    write(tmp_path / "0_stats.json", b"{}")
    source = open_source(tmp_path)
    assert ids(source) == ["0.tar/x.png"]
    assert [(e.kind, e.count) for e in left_out(source)] == [("Parquet files", 1), (".json", 1)]
    (tmp_path / "0.tar").unlink()
    write(tmp_path / "a.png", png())
    pq.write_table(pa.table({"file_name": ["a.png"], "text": ["y"]}), tmp_path / "metadata.parquet")
    assert ids(open_source(tmp_path)) == ["a.png"]
    assert "2 Parquet files" in str(left_out(open_source(tmp_path))[0])


def test_shards_anywhere_below_a_folder_are_read(tmp_path):
    write(tmp_path / "README.md", b"---")
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        table(tmp_path / "data" / f"{name}.parquet")
    table(tmp_path / "split=val" / "lang=en" / "part-0.parquet")
    source = open_source(tmp_path)
    assert ids(source) == [
        "data/test-00000-of-00001.parquet/0",
        "data/train-00000-of-00002.parquet/0",
        "data/train-00001-of-00002.parquet/0",
        "split=val/lang=en/part-0.parquet/0",
    ]
    assert source.count() == 4
    write(tmp_path / "tars" / "a" / "0.tar", tarred({"x.png": png()}))
    assert ids(open_source(tmp_path / "tars")) == ["a/0.tar/x.png"]


def test_a_fault_of_one_shard_is_its_own_row(tmp_path):
    for name in ("0", "1", "2", "3"):
        table(tmp_path / f"{name}.parquet")
    pq.write_table(pa.table({"note": ["x"]}), tmp_path / "1.parquet")
    write(tmp_path / "2.parquet", b"PAR1 no more")
    source = open_source(tmp_path)
    expected = ["0.parquet/0", "1.parquet/(the file)", "2.parquet/(the file)", "3.parquet/0"]
    assert ids(source) == expected == ids(source)
    assert source.count() == 4
    assert colours(source) == [BLUE, "UnreadableImage", "UnreadableImage", BLUE]


def test_arrays_among_a_pattern_that_are_damaged_are_rows(tmp_path):
    np.savez(tmp_path / "0.npz", x=np.zeros((1, 2, 3, 3), np.uint8))
    write(tmp_path / "1.npz", b"PK")
    np.savez(tmp_path / "2.npz", labels=np.zeros(3))
    source = open_source(f"{tmp_path}/*.npz")
    assert ids(source) == ["0.npz/x/0", "1.npz/(the file)", "2.npz/(the file)"]
    assert source.count() == 3
    assert ids(open_source(tmp_path)) == ids(source)


@pytest.mark.parametrize("name", ["a.npz", "*.npz", ""])
def test_arrays_on_a_store_are_refused_and_not_read_as_something_else(name):
    (Address("memory://of-opening") / "a.npz").put(b"whatever")
    with pytest.raises(ValueError, match=r"a\.npz': \.npz files are read from disks only; copy it"):
        open_source(f"memory://of-opening/{name}".rstrip("/"))


def test_a_source_that_raises_amid_a_chain_costs_its_own_row(tmp_path):
    class Failing:
        name = "failing"

        def __iter__(self):
            yield Record("first", "failing", lambda: None)
            raise KeyError("lost")

        def count(self):
            return None

    chain = Chain("c", (Failing(), FileList(("a.png",))))
    assert ids(chain) == ["first", "failing (the rest)", "a.png"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tar", tarred({"a.txt": b"x", "b.JSON": b"{}"})),
        ("a.txt", b"\n# a comment\n"),
        ("t.parquet", pa.table({"image": pa.array([], pa.binary())})),
        ("shards/a.tar", tarred({"a.cls": b"1"})),
        ("tables/t.parquet", pa.table({"image": pa.array([], pa.binary())})),
    ],
)
def test_a_source_without_one_image_is_an_error(tmp_path, name, content):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if isinstance(content, pa.Table):
        pq.write_table(content, tmp_path / name)
    else:
        write(tmp_path / name, content)
    with pytest.raises(ValueError, match=r"^no images in "):
        open_source(tmp_path / name.rpartition("/")[0] if "/" in name else tmp_path / name)


def test_an_empty_archive_says_what_it_holds(tmp_path):
    path = write(tmp_path / "a.tar", tarred({"a.txt": b"", "b.txt": b"", "c.json": b""}))
    with pytest.raises(ValueError, match=r"it holds 2 \.txt, 1 \.json"):
        open_source(path)


@pytest.mark.parametrize("name", ["x.tar", "x.parquet", "x.npz", "x.txt", "x.tar.gz"])
def test_a_named_pipe_in_the_place_of_a_file_is_never_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="is a named pipe"):
        next(iter(open_source(tmp_path / name))).load()


def test_a_pattern_says_which_folders_it_matches(tmp_path):
    write(tmp_path / "a.png", png())
    (tmp_path / "c.png").symlink_to("gone.png")
    write(tmp_path / "b" / "c.png", png())
    source = open_source(f"{tmp_path}/*")
    assert colours(source) == [RED, "FileNotFoundError"]
    assert [(e.kind, e.count) for e in left_out(source)] == [("folders", 1)]
    with pytest.raises(ValueError, match=r"1 folders .*add '/\*\*/\*'"):
        open_source(f"{tmp_path}/b*")


@pytest.mark.parametrize("pattern", ["b-{0000..0001}.tar", "b-{0000,0001}.tar", "b-000{0,1}.t{ar}"])
def test_braces_are_patterns(tmp_path, pattern):
    for name in ("b-0000.tar", "b-0001.tar", "b-0002.tar"):
        write(tmp_path / name, tarred({"x.png": png()}))
    if pattern.endswith("{ar}"):
        with pytest.raises(FileNotFoundError, match="stands for 2 names, and 2 match nothing"):
            open_source(f"{tmp_path}/{pattern}")
        return
    assert ids(open_source(f"{tmp_path}/{pattern}")) == ["b-0000.tar/x.png", "b-0001.tar/x.png"]


def test_a_shard_that_a_range_names_and_is_not_there_is_an_error(tmp_path):
    write(tmp_path / "b-0.tar", tarred({"x.png": png()}))
    with pytest.raises(
        FileNotFoundError, match=r"3 names, and 2 match nothing, such as '.*b-1\.tar'"
    ):
        open_source(f"{tmp_path}/b-{{0..2}}.tar")
    path = write(tmp_path / "c{0..2}.png", png(BLUE))
    assert colours(open_source(str(path))) == [BLUE]


def test_columns_are_named_of_tables_alone(tmp_path):
    write(tmp_path / "a.png", png())
    with pytest.raises(ValueError, match="`id_column` are of tables"):
        open_source(tmp_path, id_column="uid")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [png(RED)], "other": [png(BLUE)], "uid": ["u"]}), path)
    assert colours(open_source(path, image_column="other")) == [BLUE]
    assert source_options(open_source(path, image_column="other")) == {"image_column": "other"}
    with pytest.raises(ValueError, match="has no column 'nothing'"):
        open_source(path, image_column="nothing")
    with pytest.raises(ValueError, match="has no column 'nothing'"):
        open_source(f"{tmp_path}/*.parquet", id_column="nothing")


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
