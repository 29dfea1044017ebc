"""Tables: columns by name and by type, cells of every kind, and reading no more than asked for."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import BLUE, GREEN, RED, colours, ids, png, write

import jepa_jax.data.sources.parquet as module
from jepa_jax.data import Parquet, UnreadableImage, open_source


def saved(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_bytes_with_row_numbers_for_ids(tmp_path, no_decoding):
    path = saved(tmp_path / "t.parquet", {"image": [png(), png(), png()]}, row_group_size=2)
    source = Parquet(path)
    assert ids(source) == ["t.parquet/0", "t.parquet/1", "t.parquet/2"] == ids(source)
    assert source.count() == 3


@pytest.mark.parametrize("name", ["id", "uid", "key", "image_id", "ID"])
def test_an_id_column_of_strings_or_integers(tmp_path, name):
    path = saved(tmp_path / "t.parquet", {name: [7, 5], "jpg": [png(RED), png(BLUE)]})
    assert ids(Parquet(path)) == ["t.parquet/7", "t.parquet/5"]
    assert colours(Parquet(path)) == [RED, BLUE]


def test_repeated_and_missing_ids_are_told_apart(tmp_path):
    keys = ["a", "a", None, "b", "a"]
    path = saved(tmp_path / "t.parquet", {"id": keys, "image": [png()] * 5}, row_group_size=2)
    assert ids(Parquet(path)) == [f"t.parquet/{i}" for i in ("a", "a#1", "#2", "b", "a#4")]


def test_null_empty_and_broken_cells_are_rows(tmp_path):
    path = saved(tmp_path / "t.parquet", {"image": [png(RED), None, b"", b"text", png(BLUE)]})
    assert colours(Parquet(path)) == [RED, *["UnreadableImage"] * 3, BLUE]
    with pytest.raises(UnreadableImage, match="null"):
        list(Parquet(path))[1].load()


def test_paths_are_below_the_tables_folder(tmp_path):
    write(tmp_path / "in" / "a.png", png(RED))
    absolute = str(write(tmp_path / "in" / "sub" / "b.png", png(GREEN)))
    columns = {"file_name": ["a.png", absolute, "sub/../a.png", "gone.png"], "label": [1, 2, 3, 4]}
    path = saved(tmp_path / "in" / "t.parquet", columns)
    assert colours(Parquet(path)) == [RED, GREEN, RED, "FileNotFoundError"]


@pytest.mark.parametrize("cell", ["path", "struct"])
def test_paths_out_of_the_tables_folder_are_followed_only_when_asked_for(tmp_path, cell):
    outside = write(tmp_path / "b.png", png(GREEN))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.png").symlink_to("../b.png")
    (tmp_path / "in" / "up").symlink_to("..")
    paths = ["../b.png", str(outside), "link.png", "up/b.png", outside.as_uri()]
    column = paths if cell == "path" else [{"bytes": None, "path": p} for p in paths]
    path = saved(tmp_path / "in" / "t.parquet", {"image": column})
    assert colours(Parquet(path)) == ["UnreadableImage"] * 5
    for record in Parquet(path):
        with pytest.raises(UnreadableImage, match=r"the table names .*--allow-outside"):
            record.load()
    assert colours(Parquet(path, outside=True)) == [GREEN] * 5
    assert colours(open_source(path, outside=True)) == [GREEN] * 5


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.png", "zip://a.png::file:///etc/x.zip"])
def test_no_address_is_asked_for_unless_it_is_allowed(tmp_path, address, monkeypatch):
    monkeypatch.setattr("fsspec.open", lambda *_: pytest.fail("an address was opened"))
    path = saved(tmp_path / "t.parquet", {"image": [address]})
    assert colours(Parquet(path)) == ["UnreadableImage"]


def test_the_struct_of_the_datasets_library(tmp_path):
    write(tmp_path / "a.png", png(GREEN))
    cells = [
        {"bytes": png(RED), "path": "gone.png"},
        {"bytes": None, "path": "a.png"},
        {"bytes": None, "path": None},
        None,
    ]
    path = saved(tmp_path / "t.parquet", {"photograph": cells, "caption": list("abcd")})
    assert colours(Parquet(path)) == [RED, GREEN, "UnreadableImage", "UnreadableImage"]


def test_the_only_column_of_bytes_will_do_and_a_name_goes_first(tmp_path):
    one = {"label": [1], "blob": [png(RED)]}
    assert colours(Parquet(saved(tmp_path / "1.parquet", one))) == [RED]
    two = {"blob": [b"other"], "image": [png(BLUE)], "path": ["x"]}
    assert colours(Parquet(saved(tmp_path / "2.parquet", two))) == [BLUE]
    assert colours(Parquet(tmp_path / "2.parquet", column="blob")) == ["UnreadableImage"]


def test_a_table_without_images_lists_its_columns(tmp_path):
    path = saved(tmp_path / "t.parquet", {"label": [1], "text": ["x"]})
    (record,) = Parquet(path)
    assert record.id == "t.parquet/(the file)"
    assert Parquet(path).count() == 1
    for read in (Parquet(path).check, record.load):
        with pytest.raises(
            ValueError, match=r"t\.parquet has no column of images.*'label', 'text'"
        ):
            read()
    with pytest.raises(ValueError, match=r"`column` must be a column of images .* got 'label'"):
        Parquet(path, column="label").check()


@pytest.fixture
def large(tmp_path):
    images = [png((k, 0, 0)) for k in range(100)]
    return saved(tmp_path / "t.parquet", {"id": range(100), "image": images}, row_group_size=80)


def test_skipping_reads_no_image(large, monkeypatch):
    read = []
    batches = pq.ParquetFile.iter_batches

    def watched(self, *args, columns, **options):
        read.extend(columns)
        return batches(self, *args, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    records = list(Parquet(large))
    assert set(read) == {"id"}
    assert records[95].load().getpixel((0, 0)) == (95, 0, 0)
    assert read.count("image") == 1


def test_any_order_of_loading_gives_each_row_its_own_image(large):
    records = list(Parquet(large))
    order = [*range(99, -1, -7), *range(100)]
    assert [records[k].load().getpixel((0, 0))[0] for k in order] == order


@pytest.fixture
def opened(monkeypatch):
    opened = []
    open_file = module._open
    monkeypatch.setattr(module, "_open", lambda path: opened.append(path) or open_file(path))
    return opened


def test_rows_on_both_sides_of_a_batch_are_read_once(large, opened):
    records = list(Parquet(large))
    edge = module._ROWS
    for row in (edge - 1, edge, edge - 1, edge, 0):
        assert records[row].load().getpixel((0, 0)) == (row, 0, 0)
    assert len(opened) == 2  # for the ids, and for the images


def test_threads_get_each_row_its_own_image(large):
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(record.load) for record in Parquet(large)]
        assert [f.result().getpixel((0, 0))[0] for f in futures] == list(range(100))


def test_a_damaged_file_is_one_record_that_raises(tmp_path):
    source = Parquet(write(tmp_path / "t.parquet", b"PAR1 and no more"))
    assert ids(source) == ["t.parquet/(the file)"]
    assert source.count() == 1
    assert colours(source) == ["UnreadableImage"]
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        source.check()


def test_a_damaged_row_group_costs_its_own_rows_only(tmp_path):
    images = [png((k, 0, 0)) for k in range(4)]
    path = saved(
        tmp_path / "t.parquet",
        {"image": images},
        row_group_size=2,
        use_dictionary=False,
        compression="zstd",
    )
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)
    assert ids(Parquet(path)) == [f"t.parquet/{k}" for k in range(4)]
    assert colours(Parquet(path)) == ["UnreadableImage"] * 2 + [(2, 0, 0), (3, 0, 0)]


def test_a_name_that_two_columns_have(tmp_path):
    path = tmp_path / "t.parquet"
    columns = [pa.array(["a"]), pa.array(["b"]), pa.array([png(RED)])]
    pq.write_table(pa.Table.from_arrays(columns, ["id", "id", "image"]), path)
    assert ids(Parquet(path)) == ["t.parquet/0"]
    assert [entry.kind for entry in Parquet(path).left_out()] == ["columns"]
    columns = [pa.array(["a"]), pa.array([png(RED)]), pa.array([png(BLUE)])]
    pq.write_table(pa.Table.from_arrays(columns, ["id", "image", "image"]), path)
    with pytest.raises(ValueError, match="has 2 columns named 'image'"):
        Parquet(path).check()
    assert colours(Parquet(path)) == ["UnreadableImage"]


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: pa.array([0, 1, 2]).cast(pa.int32())])
def test_text_that_is_no_utf8_is_a_name_like_any_other(tmp_path, wrap):
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 1, 3, 4))
    texts = pa.StringArray.from_buffers(3, pa.py_buffer(offsets), pa.py_buffer(b"a\xff\xfec"))
    indices = wrap(texts)
    column = texts if indices is texts else pa.DictionaryArray.from_arrays(indices, texts)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": column, "image": [png(c) for c in (RED, GREEN, BLUE)]}), path)
    assert ids(Parquet(path)) == ["t.parquet/a", "t.parquet/\\xff\\xfe", "t.parquet/c"]
    assert colours(Parquet(path)) == [RED, GREEN, BLUE]
    pq.write_table(pa.table({"path": column}), path)
    write(tmp_path / os.fsdecode(b"\xff\xfe"), png(GREEN))
    assert colours(Parquet(path)) == ["FileNotFoundError", GREEN, "FileNotFoundError"]


def test_a_folder_whose_name_is_no_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    pq.write_table(pa.table({"image": [png(RED), b"x"]}), tmp_path / "t.parquet")
    (tmp_path / "t.parquet").rename(folder / "t.parquet")
    source = Parquet(folder / "t.parquet")
    assert colours(source) == [RED, "UnreadableImage"]
    assert {record.source for record in source} == {f"{tmp_path}/caf\\xe9/t.parquet"}
    assert source.count() == 2


def test_an_image_as_text_is_said_to_be_one(tmp_path):
    text = base64.b64encode(bytes(1000)).decode()
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [text, f"data:image/png;base64,{text}"]}), path)
    for record in Parquet(path):
        with pytest.raises(UnreadableImage, match=r"an image as text \(base64\), not a path"):
            record.load()
