"""A report and labels of a table: from the columns that were scored, and no others."""

import base64
import io
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import invoke
from image_files import BLUE, GREEN, RED, png
from PIL import Image
from tables import row, write_folder

from jepa_jax.data import open_source
from jepa_jax.data.readable import file_stamp
from jepa_jax.report.html import ReportSettings, write_report
from jepa_jax.report.payload import unpack
from jepa_jax.report.thumbnails import make_thumbnails


@pytest.fixture
def table(tmp_path):
    """Two columns of images and two of names; the scores are of the second ones."""
    path = tmp_path / "t.parquet"
    columns = {
        "id": ["1", "2"],
        "name": ["x", "y"],
        "image": [png(RED, (40, 40))] * 2,
        "photo": [png(BLUE, (40, 40))] * 2,
        "kind": ["left", "right"],
    }
    pq.write_table(pa.table(columns), path)
    rows = [row("t.parquet/x", 1.0), row("t.parquet/y", 2.0)]
    options = {"image_column": "photo", "id_column": "name"}
    folder = write_folder(tmp_path / "scores", rows, source=str(path), source_options=options)
    return path, folder


def colours(page):
    """The first pixel of every picture in a report."""
    text = page.read_text()
    packed = re.search(r'id="rows"[^>]*>([^<]+)<', text)
    assert packed
    rows = unpack(packed[1].strip())
    chunks = re.findall(r'class="pictures"[^>]*>([^<]+)<', text)
    found = {}
    for i, id in enumerate(rows["id"]):
        chunk = int(rows["picture_chunk"][i])
        if chunk:
            start, length = (int(rows[f"picture_{n}"][i]) for n in ("start", "length"))
            data = base64.b64decode(chunks[chunk - 1].strip()[start : start + length])
            found[id] = Image.open(io.BytesIO(data)).convert("RGB").getpixel((9, 9))
    return found


def close(colour, expected):
    return all(abs(a - b) < 12 for a, b in zip(colour, expected, strict=True))


def test_pictures_are_of_the_column_that_was_scored(table, tmp_path):
    _, folder = table
    written = write_report(folder, tmp_path / "r.html")
    assert (written.pictures, written.lacks) == (2, "")
    assert all(close(colour, BLUE) for colour in colours(written.path).values())


def test_other_columns_where_they_are_asked_for(table, tmp_path):
    _, folder = table
    settings = ReportSettings(image_column="image")
    written = write_report(folder, tmp_path / "r.html", settings)
    assert all(close(colour, RED) for colour in colours(written.path).values())
    result = invoke(
        *("report", folder, "--out", tmp_path / "r.html", "--id-column", "id"),
        *("--image-column", "image"),
    )
    assert result.exit_code == 0, result.output
    assert "0 pictures" in result.stderr  # By other ids none is found.
    wrong = invoke("report", folder, "--out", tmp_path / "r.html", "--image-column", "kinds")
    assert "has no column 'kinds'" in wrong.stderr


def test_labels_are_of_rows_by_the_ids_that_were_scored(table, tmp_path):
    _, folder = table
    result = invoke("select", folder, "--labels", "column:kind", "--class", "right", "--top", "9")
    assert result.exit_code == 0, result.output
    assert result.stdout == "t.parquet/y\n"
    settings = ReportSettings(label_from="column:kind")
    text = write_report(folder, tmp_path / "r.html", settings).path.read_text()
    assert "left" in text
    assert "right" in text


def test_paths_that_lead_out_of_a_tables_folder_are_followed_only_when_asked_for(tmp_path):
    """Whatever the scores' own manifest says: it may come with the table."""
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(png(GREEN, (40, 40)))
    path = tmp_path / "in" / "t.parquet"
    pq.write_table(pa.table({"id": ["x"], "path": ["../secret.png"]}), path)
    options = {"outside": True}
    folder = write_folder(
        tmp_path / "scores",
        [row("t.parquet/x", 1.0)],
        source=str(path),
        source_options=options,
    )
    assert write_report(folder, tmp_path / "r.html").pictures == 0
    result = invoke("report", folder, "--out", tmp_path / "r.html", "--allow-outside")
    assert "1 pictures" in result.stderr


@pytest.mark.parametrize("options", [{"image_column": 3}, {"max_pixels": "x", "y": []}])
def test_options_that_are_none_of_ours_are_passed_over(tmp_path, options):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png(GREEN, (40, 40)))
    source = str(tmp_path / "in")
    rows = [row("a.png", 1.0)]
    folder = write_folder(tmp_path / "scores", rows, source=source, source_options=options)
    assert write_report(folder, tmp_path / "r.html").pictures == 1


def test_no_picture_is_of_another_file_than_was_scored(tmp_path):
    (tmp_path / "in").mkdir()
    rows = []
    for name, colour in (("a.png", RED), ("b.png", GREEN), ("c.png", BLUE)):
        path = tmp_path / "in" / name
        path.write_bytes(png(colour, (40, 40)))
        # The last one was scored before stamps were kept.
        stamp = None if name == "c.png" else file_stamp(path)
        rows.append(row(name, 1.0, stamp=stamp, source=str(path)))
    folder = write_folder(tmp_path / "scores", rows, source=str(tmp_path / "in"))
    written = write_report(folder, tmp_path / "r.html")
    assert (written.pictures, written.lacks) == (3, "")
    for name in ("b.png", "c.png"):
        (tmp_path / "in" / name).write_bytes(png(RED, (41, 40)))
    written = write_report(folder, tmp_path / "r.html")
    assert written.pictures == 2
    assert written.lacks.startswith("1 images have no picture: their files have changed since")
    assert colours(written.path).keys() == {"a.png", "c.png"}
    copy = invoke("select", folder, "--top", "3", "--copy-to", tmp_path / "copy")
    assert "1 have changed since they were scored, such as" in copy.stderr


def test_thumbnails_without_stamps_are_all_made(tmp_path):
    (tmp_path / "a.png").write_bytes(png(RED, (40, 40)))
    assert make_thumbnails(open_source(tmp_path), ["a.png"], [0]).keys() == {0}
