"""A folder: which files, in which order, under which ids."""

import inspect
import os
import socket
import sys
from pathlib import Path

import pytest
from image_files import BLUE, GREEN, RED, colours, encoded, ids, png, write
from PIL import Image

from jepa_jax.data import Folder, UnreadableImage, open_source


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "b.png", png(BLUE))
    write(tmp_path / "a" / "2.PNG", png(GREEN))
    write(tmp_path / "a" / "1.jpg", b"text in a file named .jpg")
    write(tmp_path / "a" / "deep" / "x.png", png(RED))
    for other in ("notes.txt", ".hidden.png", ".git/c.png", "a/movie.mp4", "a/scan.pdf"):
        write(tmp_path / other, png())
    return Folder(tmp_path)


def test_ids_are_relative_paths_depth_first_and_the_same_again(folder, no_decoding):
    assert ids(folder) == ["a/1.jpg", "a/2.PNG", "a/deep/x.png", "b.png"] == ids(folder)
    assert folder.count() == 4
    assert [r.source for r in folder][-1] == str(folder.path / "b.png")


def test_a_broken_file_is_a_record_that_raises(folder):
    assert colours(folder) == ["UnreadableImage", GREEN, RED, BLUE]
    with pytest.raises(UnreadableImage, match="not an image Pillow can read"):
        next(iter(folder)).load()


def test_links_are_followed_but_not_round_in_circles(tmp_path):
    write(tmp_path / "in" / "a.png", png(RED))
    write(tmp_path / "elsewhere" / "b.png", png(BLUE))
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "side").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "in" / "z.png").symlink_to(tmp_path / "gone.png")
    source = Folder(tmp_path / "in")
    assert ids(source) == ["a.png", "side/b.png", "z.png"]
    assert colours(source) == [RED, BLUE, "FileNotFoundError"]


def test_what_is_no_file_is_a_record_and_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.jpg").symlink_to("pipe.png")
    (tmp_path / "null.png").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.png"))
        os.mkfifo(tmp_path / "other")
        source = Folder(tmp_path)
        assert ids(source) == ["link.jpg", "null.png", "pipe.png", "s.png"]
        assert colours(source) == ["UnreadableImage"] * 4
        with pytest.raises(UnreadableImage, match="is a named pipe, not a file"):
            next(iter(source)).load()
        assert [(e.kind, e.count) for e in source.left_out()] == [("not files", 1)]


def test_links_that_lead_nowhere_cost_their_own_row_alone(tmp_path):
    write(tmp_path / "b.png", png(BLUE))
    for name, target in (
        ("a.png", "a.png"),
        ("loop", "loop"),
        ("d.png", "b.png/x.png"),
        ("through", "b.png/x"),
        ("e.png", "gone.png"),
        ("gone", "gone-too"),
        ("long.jpg", "x" * 300),
    ):
        (tmp_path / name).symlink_to(target)
    source = Folder(tmp_path)
    assert ids(source) == ["a.png", "b.png", "d.png", "e.png", "long.jpg", "loop", "through"]
    assert colours(source) == [
        *("OSError", BLUE, "NotADirectoryError", "FileNotFoundError", "OSError", "OSError"),
        "NotADirectoryError",
    ]
    assert source.count() == 7
    assert [(e.kind, e.example) for e in source.left_out()] == [("links that lead nowhere", "gone")]


def test_folders_deeper_than_pythons_stack(tmp_path):
    # A low stack rather than folders of 1,000 levels: those would outlive a test that is cut off,
    # and what clears temporary folders away, pytest included, goes down by Python's stack.
    depth, limit = 250, sys.getrecursionlimit()
    write(tmp_path / Path(*"d" * depth) / "x.png", png(RED))
    Folder(tmp_path)  # What is imported on the way is imported with the usual stack.
    sys.setrecursionlimit(len(inspect.stack(0)) + depth // 2)
    try:
        found, seen = ids(Folder(tmp_path)), colours(Folder(tmp_path))
    finally:
        sys.setrecursionlimit(limit)
    assert found == ["d/" * depth + "x.png"]
    assert seen == [RED]


def test_an_image_is_what_pillow_decodes_whatever_its_name(tmp_path):
    for name in ("a.jpg_large", "b.jpeg~", "c", "d.img", "e.mpo", "f.JFIF"):
        write(tmp_path / name, encoded(Image.new("RGB", (8, 8), RED), "JPEG"))
    write(tmp_path / "notes", b"no image")
    write(tmp_path / "data.bin", b"\0" * 100)
    write(tmp_path / "g.txt", png())  # By its name, a text.
    source = Folder(tmp_path)
    assert ids(source) == ["a.jpg_large", "b.jpeg~", "c", "d.img", "e.mpo", "f.JFIF"]
    assert "UnreadableImage" not in colours(source)


def test_what_is_left_out_is_said_with_counts(tmp_path):
    for name in ("a.png", "b.heic", "sub/c.HEIC", "d.jxl", "e.json", "f.json", ".hidden.png", "g"):
        write(tmp_path / name, png() if name == "a.png" else b"?")
    write(tmp_path / "h.tar", b"")
    write(tmp_path / "i.zip", b"")
    entries = {(e.kind, e.count, e.example, bool(e.reason)) for e in Folder(tmp_path).left_out()}
    assert entries == {
        (".heic", 2, "b.heic", True),
        (".jxl", 1, "d.jxl", True),
        (".zip", 1, "i.zip", True),
        ("tar files", 1, "h.tar", True),
        (".json", 2, "e.json", False),
        ("hidden", 1, ".hidden.png", False),
        ("without an extension", 1, "g", False),
    }


def test_a_folder_is_listed_once_for_all_that_is_said_of_it(folder, monkeypatch):
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scandir(path))
    source = open_source(folder.path)
    assert (source.count(), len(source.left_out())) == (4, 4)
    assert len(listed) == len(set(listed)) == 3


def test_a_subfolder_that_cannot_be_listed_is_a_record(folder, monkeypatch):
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert ids(folder) == ["a/1.jpg", "a/2.PNG", "a/deep/", "b.png"]
    assert colours(folder)[2] == "PermissionError"


def test_a_name_that_is_not_utf8_gets_an_id_that_is(tmp_path):
    try:
        write(tmp_path / os.fsdecode(b"caf\xe9.png"), png(RED))
    except OSError:
        pytest.skip("this file system refuses such names")
    (record,) = Folder(tmp_path)
    assert record.id == "caf\\xe9.png"
    assert record.id.encode("utf-8")
    assert record.load().getpixel((0, 0)) == RED


def test_max_pixels_reaches_the_decoder(folder):
    assert set(colours(Folder(folder.path, max_pixels=5))) == {"UnreadableImage"}


def test_a_record_by_its_id_is_that_of_the_listing(folder):
    for record in folder:
        found = folder.record(record.id)
        assert (found.id, found.source, found.stamp()) == (record.id, record.source, record.stamp())


def test_no_record_of_an_id_that_leads_out_or_to_what_is_no_image(tmp_path):
    for name in ("top/a/b.png", "top/.c.png", "top/.d/e.png", "out.png", "top/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name, "PNG")
    (tmp_path / "top" / "notes.txt").write_text("none")
    top = Folder(tmp_path / "top")
    assert top.record("a/b.png").load().size == (4, 4)
    wrong = ("../out.png", "a/../../out.png", f"{tmp_path}/out.png", "./a/b.png", "a//b.png")
    wrong += (".c.png", ".d/e.png", "a", "a/", "", "notes.txt", "a/b.png\0", "..", "a/../a/b.png")
    assert [id for id in wrong if top.record(id) is not None] == []
    # What is named like an image is one, there or not, as in a listing of what was there.
    with pytest.raises(FileNotFoundError):
        top.record("a/gone.png").load()
    assert top.record("\\x2e\\x2e/out.png") is None
