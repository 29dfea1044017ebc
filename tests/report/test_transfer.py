"""Copies and links: planned first, never over something else, never outside the folder."""

import os
from pathlib import Path

import pytest

from jepa_jax.data.record import writable_id
from jepa_jax.report.transfer import plan_transfer, transfer


@pytest.fixture
def photos(tmp_path):
    for name in ("a/x.jpg", "b/x.jpg", "b/X.JPG", "c.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "photos"


def plan(photos, out, ids, *, link=False):
    return plan_transfer(ids, [str(photos / id) for id in ids], out, link=link)


def files(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_plan_touches_nothing_and_a_copy_keeps_the_tree(photos, tmp_path):
    out = tmp_path / "out"
    planned = plan(photos, out, ["a/x.jpg", "c.png"])
    assert not out.exists()
    assert planned.bytes == len("a/x.jpg") + len("c.png")
    transfer(planned, link=False)
    assert files(out) == {"a/x.jpg": "a/x.jpg", "c.png": "c.png"}
    assert files(photos).keys() == {"a/x.jpg", "b/x.jpg", "b/X.JPG", "c.png"}
    again = plan(photos, out, ["a/x.jpg", "b/x.jpg"])
    assert [t.name for _, t in again.done] == ["x.jpg"]
    assert [str(t) for _, t in again.todo] == [str(out / "b/x.jpg")]


def test_what_is_on_an_object_store_is_not_copied(tmp_path):
    with pytest.raises(ValueError, match=r"on an object store, at s3://b/photos/a\.jpg"):
        plan_transfer(["a.jpg"], ["s3://b/photos/a.jpg"], tmp_path / "out", link=False)


def test_links_are_absolute_and_found_again(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = plan_transfer(["c.png"], ["photos/c.png"], tmp_path / "out", link=True)
    transfer(planned, link=True)
    assert os.readlink(tmp_path / "out" / "c.png") == str(photos / "c.png")
    again = plan_transfer(["c.png"], ["photos/c.png"], tmp_path / "out", link=True)
    assert (len(again.todo), len(again.done)) == (0, 1)


def test_two_names_never_become_one_file(photos, tmp_path):
    outside = photos / "b" / "x.jpg"
    ids = ["b/x.jpg", "../b/x.jpg", "/b/x.jpg", "b/X.JPG"]
    sources = [str(outside)] * 3 + [str(photos / "b" / "X.JPG")]
    planned = plan_transfer(ids, sources, tmp_path / "out", link=False)
    assert planned.renamed == 3
    transfer(planned, link=False)
    # The last one would be the first one's file where case is ignored.
    assert files(tmp_path / "out") == {
        "b/x.jpg": "b/x.jpg",
        "b/x-2.jpg": "b/x.jpg",
        "b/x-3.jpg": "b/x.jpg",
        "b/X-4.JPG": "b/X.JPG",
    }


def test_nothing_leaves_the_folder(photos, tmp_path):
    id = "../../../a/x.jpg"
    planned = plan_transfer([id], [str(photos / "a" / "x.jpg")], tmp_path / "out", link=False)
    assert [target for _, target in planned.todo] == [tmp_path / "out" / "a" / "x.jpg"]


def test_something_else_in_the_way_is_refused(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c.png").write_text("another picture")
    for link in (False, True):
        with pytest.raises(FileExistsError, match=r"c\.png is in the way of .* nothing is over"):
            plan(photos, tmp_path / "out", ["c.png"], link=link)


def test_files_that_are_gone_are_said(photos, tmp_path):
    (photos / "c.png").unlink()
    planned = plan(photos, tmp_path / "out", ["a/x.jpg", "c.png"])
    assert planned.missing == [photos / "c.png"]
    assert len(planned.todo) == 1


def test_images_inside_an_archive_are_no_files(tmp_path):
    (tmp_path / "0.tar").write_text("")
    with pytest.raises(ValueError, match=r"'0\.tar/a\.jpg' is no file of its own, it is inside"):
        plan_transfer(["0.tar/a.jpg"], [str(tmp_path / "0.tar")], tmp_path / "out", link=False)


def test_names_that_are_not_text(tmp_path):
    name = os.fsdecode(b"caf\xe9 \\x.jpg")
    (tmp_path / name).write_text("x")
    ids, sources = [writable_id(name)], [writable_id(str(tmp_path / name))]
    planned = plan_transfer(ids, sources, tmp_path / "out", link=False)
    transfer(planned, link=False)
    assert os.listdir(tmp_path / "out") == [name]


def test_nothing_of_the_users_is_lost_whatever_its_name(photos, tmp_path):
    """A copy was once written as NAME.part: a file or link of that name is somebody's."""
    outside = tmp_path / "precious.txt"
    outside.write_text("precious")
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "c.png.part").write_text("mine")
    (out / "a" / "x.jpg.part").symlink_to(outside)
    transfer(plan(photos, out, ["a/x.jpg", "c.png"]), link=False)
    assert outside.read_text() == "precious"
    assert (out / "c.png.part").read_text() == "mine"
    assert (out / "a" / "x.jpg.part").is_symlink()
    assert (out / "a" / "x.jpg").read_text() == "a/x.jpg"


@pytest.mark.parametrize("link", [False, True])
def test_nothing_is_written_through_a_link_in_a_folders_place(photos, tmp_path, link):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError, match="nothing is written through a link"):
        plan(photos, tmp_path / "out", ["a/x.jpg"], link=link)
    # The folder itself may be one: the user named it.
    (tmp_path / "alias").symlink_to(tmp_path / "elsewhere")
    transfer(plan(photos, tmp_path / "alias", ["a/x.jpg"], link=link), link=link)
    assert (tmp_path / "elsewhere" / "a" / "x.jpg").read_text() == "a/x.jpg"


@pytest.mark.parametrize("link", [False, True])
def test_what_appears_after_the_plan_is_not_overwritten(photos, tmp_path, link):
    out = tmp_path / "out"
    planned = plan(photos, out, ["c.png"], link=link)
    out.mkdir()
    (out / "c.png").symlink_to(tmp_path / "not-there-yet")
    with pytest.raises(FileExistsError):
        transfer(planned, link=link)
    assert not (tmp_path / "not-there-yet").exists()
    assert os.listdir(out) == ["c.png"]


def test_a_copy_keeps_time_and_permissions_and_cleans_up_after_a_killed_one(photos, tmp_path):
    os.utime(photos / "c.png", (10**9, 10**9))
    (photos / "c.png").chmod(0o640)
    out = tmp_path / "out"
    out.mkdir()
    (out / ".jepa-jax-0123456789abcdef.tmp").write_text("half")
    transfer(plan(photos, out, ["c.png"]), link=False)
    status = (out / "c.png").stat()
    assert (status.st_mtime, status.st_mode & 0o777) == (10**9, 0o640)
    assert os.listdir(out) == ["c.png"]


def test_a_copy_that_fails_leaves_nothing(photos, tmp_path, monkeypatch):
    def fails(*arguments):
        raise OSError(28, "No space left on device")

    planned = plan(photos, tmp_path / "out", ["c.png"])
    monkeypatch.setattr("jepa_jax.report.transfer.shutil.copyfileobj", fails)
    with pytest.raises(OSError, match="No space left"):
        transfer(planned, link=False)
    assert os.listdir(tmp_path / "out") == []


def test_a_file_that_became_a_pipe_is_not_waited_for(photos, tmp_path):
    planned = plan(photos, tmp_path / "out", ["c.png"])
    (photos / "c.png").unlink()
    os.mkfifo(photos / "c.png")
    with pytest.raises(ValueError, match="is a named pipe, not a file"):
        transfer(planned, link=False)


def test_nothing_is_copied_into_a_folder_of_scores_or_to_an_address(photos, tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "_manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="a folder of scores"):
        plan(photos, tmp_path / "scores", ["c.png"])
    with pytest.raises(ValueError, match="got the address 's3://b'"):
        plan(photos, Path("s3://b"), ["c.png"])
