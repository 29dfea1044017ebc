"""Lists say exactly which rows were chosen, in every format."""

import csv
import io
import json
import os
import tarfile

import numpy as np
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from command_line import invoke
from tables import row, write_folder

from jepa_jax.data.record import writable_id
from jepa_jax.report import read_scores, write_selection
from jepa_jax.report.export import formulas, names, text_list
from jepa_jax.report.uids import UID_DTYPE, uid_array, uids_of

ODD = 'a "quoted", comma\nand line.jpg'
# Each of them alone splits a record or a cell where it is not quoted.
SPLITTING = ["a\rb.jpg", "\r", "a,b", 'a"b', "a\nb", "\u2028a", " a ", "=1+1", "\ta", ""]


@pytest.fixture
def table(tmp_path):
    rows = [row("x/1.jpg", 0.1), row(ODD, -2.0), row("x/2.jpg", None), row("y/3.jpg", 1e-300)]
    return read_scores(write_folder(tmp_path / "scores", rows))


CHOSEN = np.array([True, True, True, False])
LABELS = np.array(["x", "", "x", "y"], object)


def test_csv_keeps_every_digit_and_any_name(table, tmp_path):
    write_selection(tmp_path / "s.csv", table, CHOSEN, LABELS)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["id"] for r in rows] == ["x/1.jpg", ODD, "x/2.jpg"]
    assert [r["jepa_score"] for r in rows] == ["0.1", "-2.0", ""]
    assert [r["status"] for r in rows] == ["ok", "ok", "unreadable"]
    assert [r["label"] for r in rows] == ["x", "", "x"]


def test_a_list_of_paths_names_the_files_themselves(tmp_path):
    """Names that are no text, and others that look like what is written for those."""
    files = [b"bad\xff.png", b"bad\\xff.png", b"plain.png"]
    sources = [writable_id(os.fsdecode(name)) for name in files]
    rows = [row(source, -1.0, source=source) for source in sources]
    folder = write_folder(tmp_path / "scores", rows)
    every = np.ones(3, bool)
    write_selection(tmp_path / "s.txt", read_scores(folder), every, np.array([""] * 3), paths=True)
    assert (tmp_path / "s.txt").read_bytes().splitlines() == files
    listed = invoke("select", folder, "--top", 3, "--paths", "--null")
    assert listed.exit_code == 0, listed.stderr
    assert listed.stdout_bytes.split(b"\0") == [*files, b""]


def test_csv_is_read_back_whatever_an_id_holds(tmp_path):
    rows = [row(id, float(i)) for i, id in enumerate(SPLITTING)]
    table = read_scores(write_folder(tmp_path / "scores", rows))
    all_of_them = np.ones(len(rows), bool)
    write_selection(tmp_path / "s.csv", table, all_of_them, np.full(len(rows), "", object))
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        assert [r["id"] for r in csv.DictReader(file)] == SPLITTING
    read = arrow_csv.read_csv(
        tmp_path / "s.csv", parse_options=arrow_csv.ParseOptions(newlines_in_values=True)
    )
    assert read["id"].to_pylist() == SPLITTING


@pytest.mark.parametrize("name", ["=1", "+1", "-1", "@a", "\ta", "\ra", "\uff1d1"])
def test_what_a_spreadsheet_would_compute_is_known_and_left_as_it_is(tmp_path, name):
    table = read_scores(write_folder(tmp_path / "scores", [row(name, -1.0), row("b", -2.0)]))
    both = np.ones(2, bool), np.full(2, "", object)
    assert formulas(table, *both) == [name]
    write_selection(tmp_path / "s.csv", table, *both)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["id"] == name


def test_parquet_has_the_rows_as_they_were(table, tmp_path):
    write_selection(tmp_path / "s.parquet", table, CHOSEN, LABELS)
    rows = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert rows[1] == table.rows.slice(1, 1).to_pylist()[0] | {"label": ""}
    assert [r["jepa_score"] for r in rows] == [0.1, -2.0, None]


def test_text_lists(table, tmp_path):
    chosen = np.array([True, False, True, True])
    write_selection(tmp_path / "s.txt", table, chosen, LABELS)
    assert (tmp_path / "s.txt").read_text() == "x/1.jpg\nx/2.jpg\ny/3.jpg\n"
    write_selection(tmp_path / "s.txt", table, chosen, LABELS, paths=True)
    assert (tmp_path / "s.txt").read_text().splitlines()[0] == "photos/x/1.jpg"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.txt", "scores"]


def test_a_name_with_a_line_break_is_not_cut_in_two(table, tmp_path):
    with pytest.raises(ValueError, match="does not fit in a list of lines: use --null"):
        write_selection(tmp_path / "s.txt", table, CHOSEN, LABELS)
    assert not (tmp_path / "s.txt").exists()
    assert text_list(names(table, CHOSEN), null=True).split("\0")[:-1] == [
        "x/1.jpg",
        ODD,
        "x/2.jpg",
    ]


def test_an_extension_that_names_no_format(table, tmp_path):
    with pytest.raises(ValueError, match=r"one of \.txt, \.csv, \.parquet, \.npy, got '\.xlsx'"):
        write_selection(tmp_path / "s.xlsx", table, CHOSEN, LABELS)


UIDS = ["00" * 15 + "0a", "f" * 32, "0123456789abcdef" + "fedcba9876543210", "f" * 32]


def test_uids_are_what_the_resharder_looks_up(tmp_path):
    rows = [row(f"meta.parquet/{uid.upper()}", 1.0) for uid in UIDS]
    table = read_scores(write_folder(tmp_path / "scores", rows))
    out = tmp_path / "subset.npy"
    write_selection(out, table, np.ones(4, bool), np.full(4, "", object))
    subset = np.load(out)
    assert subset.dtype == np.dtype("u8,u8") == UID_DTYPE
    assert (np.sort(subset) == subset).all()
    assert len(subset) == 3
    # As the resharder does for each sample of a shard: one hit for those chosen, none for others.
    for uid, hits in [(uid, 1) for uid in UIDS] + [("1" * 32, 0)]:
        key = np.array([divmod(int(uid, 16), 2**64)], UID_DTYPE)[0]
        found = np.searchsorted(subset, key, "right") - np.searchsorted(subset, key, "left")
        assert found == hits


def test_uids_of_webdataset_shards(tmp_path):
    shard = tmp_path / "00000000.tar"
    with tarfile.open(shard, "w") as tar:
        for key, uid in (("000", UIDS[2]), ("001", "a"), ("002", None)):
            for name, data in ((f"{key}.jpg", b"image"), (f"{key}.json", json.dumps({"uid": uid}))):
                content = data if isinstance(data, bytes) else data.encode()
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    ids = ["deep/00000000.tar/001.jpg", "00000000.tar/000.jpg"]
    assert uids_of(ids, [str(shard)] * 2) == ["0" * 31 + "a", UIDS[2]]
    with pytest.raises(ValueError, match=r"no uid for '00000000\.tar/002\.jpg'"):
        uids_of(["00000000.tar/002.jpg"], [str(shard)])


def test_what_has_no_uid():
    with pytest.raises(ValueError, match=r"no uid for 'photos/x\.jpg'"):
        uids_of(["photos/x.jpg"], ["photos/x.jpg"])
    with pytest.raises(ValueError, match="must be 32 hexadecimal digits, got 'g"):
        uid_array(["g" * 32])
    assert uid_array([]).shape == (0,)
