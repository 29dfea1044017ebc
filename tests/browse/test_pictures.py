"""Pictures are found in folders, archives and tables by id, in any order, and only there."""

import io
import tarfile

import pytest
from PIL import Image

from jepa_jax.browse import pictures as module
from jepa_jax.browse.pictures import Pictures
from jepa_jax.data import open_source


def png(width):
    buffer = io.BytesIO()
    Image.new("RGB", (width, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def width_of(data):
    return None if data is None else Image.open(io.BytesIO(data)).width


@pytest.fixture
def archives(tmp_path):
    """Two archives of ten images, the first zipped; the image '3' of archive 1 is 13 wide."""
    for number, mode in enumerate(("w:gz", "w")):
        path = tmp_path / "shards" / ("0.tar.gz", "1.tar")[number]
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, mode) as tar:
            for i in range(10):
                data = png(10 * number + i + 1)
                member = tarfile.TarInfo(f"x/{i}.png")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return str(tmp_path / "shards")


@pytest.mark.parametrize("kept", [0, 3, 1000])
def test_of_archives_in_any_order(archives, monkeypatch, kept):
    monkeypatch.setattr(module, "_KEPT_RECORDS", kept)
    source = open_source(archives)
    pictures = Pictures(source)
    for part in pictures._parts.values():
        part.most = min(part.most, kept)
    ids = [record.id for record in source]
    assert len(ids) == 20
    for at in (13, 3, 19, 0, 13, 4, 1, 12):
        assert width_of(pictures.of(ids[at], None, 160)) == at + 1
    for id in ("1.tar/x/77.png", "2.tar/x/1.png", "x/1.png", "1.tar", "", "/", "../1.tar/x/1.png"):
        assert pictures.of(id, None, 160) is None


def test_of_a_table_and_of_a_list(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": ["a/../b", "c"], "image": [png(5), png(6)]})
    pq.write_table(table, tmp_path / "t.parquet")
    of_table = Pictures(open_source(str(tmp_path / "t.parquet")))
    assert width_of(of_table.of("t.parquet/a/../b", None, 160)) == 5
    (tmp_path / "one.png").write_bytes(png(7))
    (tmp_path / "two.png").write_bytes(png(8))
    (tmp_path / "list.txt").write_text("one.png\n")
    of_list = Pictures(open_source(str(tmp_path / "list.txt")))
    assert width_of(of_list.of("one.png", None, 160)) == 7
    assert of_list.of("two.png", None, 160) is None


def test_none_of_a_file_that_has_changed_and_each_made_once(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png(9))
    source = open_source(str(tmp_path))
    pictures, stamp = Pictures(source), next(iter(source)).stamp()
    made = []
    of_module = module.thumbnail
    count = lambda record, **more: made.append(record.id) or of_module(record, **more)
    monkeypatch.setattr(module, "thumbnail", count)
    assert width_of(pictures.of("a.png", stamp, 160)) == 9
    assert width_of(pictures.of("a.png", stamp, 160)) == 9
    assert pictures.of("a.png", "1:1", 160) is None
    assert made == ["a.png"]
    monkeypatch.setattr(module, "_KEPT_BYTES", 0)
    pictures.of("a.png", stamp, 8)
    assert not pictures._kept


def test_no_source_no_pictures():
    assert Pictures(None).of("a.png", None, 160) is None
