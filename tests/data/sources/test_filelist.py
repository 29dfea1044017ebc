"""Lists of files: as written, relative to the right folder."""

import os
import socket

import pytest
from image_files import BLUE, RED, colours, ids, png, write

from jepa_jax.data import FileList, ListFile
from jepa_jax.data.storage import is_transient


def test_paths_keep_their_order_and_are_their_ids(tmp_path, no_decoding):
    source = FileList(("b.png", "sub/a.png"), tmp_path)
    assert ids(source) == ["b.png", "sub/a.png"] == ids(source)
    assert source.count() == 2


def test_a_missing_file_is_a_record_that_raises(tmp_path):
    write(tmp_path / "b.png", png(BLUE))
    assert colours(FileList(("gone.png", "b.png"), tmp_path)) == ["FileNotFoundError", BLUE]


def test_an_empty_list_and_a_path_given_twice_are_errors():
    with pytest.raises(ValueError, match="at least one image file"):
        FileList(())
    with pytest.raises(ValueError, match=r"'b\.png' is twice"):
        FileList(("a.png", "b.png", "b.png"))


def test_a_file_whose_name_begins_like_a_comment_is_a_file(tmp_path):
    write(tmp_path / "#b.png", png(BLUE))
    (tmp_path / "#c.png").symlink_to("gone.png")
    text = "# a comment\n#b.png\n#c.png\n#gone.png\n"
    source = ListFile(write(tmp_path / "list.txt", text.encode()))
    assert ids(source) == ["#b.png", "#c.png"]
    assert source.count() == 2
    assert colours(source) == [BLUE, "FileNotFoundError"]
    assert [(e.kind, e.count, e.example) for e in source.left_out()] == [
        ("comment lines", 2, "# a comment")
    ]


def test_blanks_that_belong_to_a_name(tmp_path):
    for name in (" a.png", "b.png ", "c.png\u3000"):
        write(tmp_path / name, png(RED))
    write(tmp_path / "d.png", png(BLUE))
    text = " a.png\nb.png \nc.png\u3000\n d.png \n"
    source = ListFile(write(tmp_path / "list.txt", text.encode()))
    assert ids(source) == [" a.png", "b.png ", "c.png\u3000", "d.png"]
    assert colours(source) == [RED, RED, RED, BLUE]


def test_old_line_ends_and_other_encodings(tmp_path):
    assert ids(ListFile(write(tmp_path / "mac.txt", b"a.png\rb.png\r"))) == ["a.png", "b.png"]
    latin = ListFile(write(tmp_path / "latin.txt", "é.png".encode("latin-1")))
    assert ids(latin) == [r"\xe9.png"]
    for coding in ("utf-16-le", "utf-16-be"):
        source = ListFile(write(tmp_path / "w.txt", "\ufeffa.png\n".encode(coding)))
        with pytest.raises(ValueError, match="is UTF-16 text"):
            list(source)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
def test_what_is_no_file_is_a_row_and_is_never_waited_for(tmp_path, kind):
    path, names = tmp_path / "p.png", {"folder": "IsADirectoryError"}
    server = socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        server.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    write(tmp_path / "a.png", png(RED))
    source = ListFile(write(tmp_path / "list.txt", b"a.png\np.png\n"))
    with server:
        assert colours(source) == [RED, names.get(kind, "UnreadableImage")]


def test_what_no_retry_would_mend_is_permanent(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "nowhere.png").symlink_to("gone.png")
    names = ["folder.png", "loop.png", "nowhere.png", "gone.png", "x" * 300 + ".png"]
    source = ListFile(write(tmp_path / "list.txt", "\n".join(names).encode()))
    found = []
    for record in source:
        with pytest.raises(OSError, match="Errno") as error:
            record.load()
        found.append(is_transient(error.value))
    assert found == [False, False, True, True, False]


def test_a_record_says_when_its_file_is_another_one(tmp_path):
    path = write(tmp_path / "a.png", png(RED))
    (record,) = FileList((str(path),))
    before = record.stamp()
    assert before == record.stamp()
    path.write_bytes(png(BLUE, (9, 9)))
    assert record.stamp() != before
    path.unlink()
    assert record.stamp() is None


def test_a_text_file_skips_blanks_and_comments_and_is_relative_to_itself(tmp_path):
    write(tmp_path / "lists" / "sub" / "é.png", png(RED))
    absolute = write(tmp_path / "b.png", png(BLUE))
    text = f"\ufeff# mine\n\nsub/é.png\r\n  {absolute}  \n#x.png\n"
    source = ListFile(write(tmp_path / "lists" / "list.txt", text.encode()))
    assert ids(source) == ["sub/é.png", str(absolute)] == ids(source)
    assert source.count() == 2
    assert colours(source) == [RED, BLUE]
