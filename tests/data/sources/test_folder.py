"""A folder: which files, in which order, under which ids."""

import os

import pytest
from image_files import BLUE, GREEN, RED, colours, ids, png, write

from jepa_jax.data import Folder, UnreadableImage


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


def test_a_pipe_is_left_out(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert ids(Folder(tmp_path)) == []
    assert Folder(tmp_path).is_empty()


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
