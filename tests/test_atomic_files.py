"""Files replaced whole or not at all, through no link, leaving nothing behind."""

import errno
import os
import subprocess
import sys

import pytest

from jepa_jax import atomic_files as files
from jepa_jax.atomic_files import (
    check_local,
    create,
    is_leftover,
    remove_leftovers,
    replace,
    replace_text,
)

LEFTOVER = ".jepa-jax-0123456789abcdef.tmp"


def writes(data: bytes):
    return lambda file: file.write(data)


def test_a_file_is_replaced_and_nothing_is_left(tmp_path):
    replace_text(tmp_path / "a.json", "one")
    replace(tmp_path / "a.json", writes(b"two"))
    assert (tmp_path / "a.json").read_text() == "two"
    assert os.listdir(tmp_path) == ["a.json"]


def test_names_that_others_would_use_are_not_touched(tmp_path):
    """Names by which files were once written, each of them a user's own, or a link elsewhere."""
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    folder = tmp_path / "out"
    folder.mkdir()
    for name in (".a.csv.tmp", "a.csv.part", "a.csv.tmp", "a.new"):
        (folder / name).symlink_to(outside)
    replace_text(folder / "a.csv", "id\n")
    create(folder / "b.csv", writes(b"id\n"))
    assert outside.read_text() == "precious"
    assert all((folder / n).is_symlink() for n in os.listdir(folder) if n not in ("a.csv", "b.csv"))


def test_a_link_is_replaced_and_not_followed(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    (tmp_path / "a.csv").symlink_to(outside)
    replace_text(tmp_path / "a.csv", "id\n")
    assert outside.read_text() == "precious"
    assert not (tmp_path / "a.csv").is_symlink()


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_is_never_written_over_another(tmp_path, monkeypatch, links):
    if not links:  # FAT has none.

        def link(*names):
            raise PermissionError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", link)
    create(tmp_path / "a", writes(b"new"))
    assert (tmp_path / "a").read_bytes() == b"new"
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    for name in ("a", "dangling"):
        with pytest.raises(FileExistsError):
            create(tmp_path / name, writes(b"other"))
    assert (tmp_path / "a").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["a", "dangling"]


@pytest.mark.parametrize("write", [replace, create])
def test_a_full_disk_leaves_what_was_there(tmp_path, write):
    if write is replace:
        (tmp_path / "a").write_text("before")

    def fails(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = os.listdir(tmp_path)
    with pytest.raises(OSError, match="No space left") as raised:
        write(tmp_path / "a", fails)
    assert raised.value.filename == str(tmp_path / "a")  # Not that of what was being written.
    assert os.listdir(tmp_path) == before
    assert not before or (tmp_path / "a").read_text() == "before"


def test_a_disk_that_fills_up_while_it_is_written(tmp_path):
    """The limit on a file's size stands for the disk's: the system refuses the rest."""
    script = (
        "import resource, signal, sys; from jepa_jax.atomic_files import replace_text\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: replace_text(sys.argv[1], 'x' * 5000)\n"
        "except OSError as error: print(error.errno)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == f"{errno.EFBIG}\n"
    assert os.listdir(tmp_path) == []


def test_only_leftovers_of_ours_are_removed_and_none_that_is_being_written(tmp_path):
    others = [
        ".scores-mine.tmp",
        ".scores-000001.parquet.tmp",
        "a.part",
        ".jepa-jax-notes.tmp",
        LEFTOVER + "~",
        LEFTOVER.upper(),
    ]
    for name in [*others, LEFTOVER]:
        (tmp_path / name).write_text("x")
    (tmp_path / LEFTOVER.replace("0", "1")).symlink_to(tmp_path / "a.part")

    def while_written(file):
        remove_leftovers(tmp_path)
        assert len([n for n in os.listdir(tmp_path) if is_leftover(n)]) == 2  # This, and the link.
        file.write(b"whole")

    replace(tmp_path / "b", while_written)
    assert (tmp_path / "b").read_bytes() == b"whole"
    assert {*others, "b"} <= set(os.listdir(tmp_path))
    assert LEFTOVER not in os.listdir(tmp_path)


def test_a_killed_writer_leaves_what_the_next_one_recognises(tmp_path):
    script = (
        "import os, sys; from jepa_jax.atomic_files import replace\n"
        "replace(sys.argv[1], lambda file: (file.write(b'half'), file.flush(), os._exit(1)))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], check=False)
    (left,) = os.listdir(tmp_path)
    assert is_leftover(left)
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("address", ["s3://b/x", "gs://b", "hf://datasets/a/b", "https://a.b/c"])
def test_addresses_are_no_files(address):
    for path in (address, files.Path(address)):  # `Path` takes a slash of it.
        with pytest.raises(ValueError, match=f"must be a local file or folder, .* '{address}'"):
            check_local(path)
    assert check_local("C:/scores") == files.Path("C:/scores")
    assert check_local("a/s3:/x") == files.Path("a/s3:/x")


def test_what_is_no_file_is_not_replaced(tmp_path):
    """As root a device would be gone, for every program."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError, match="it is no file, and is not replaced"):
        replace_text(pipe, "x")
    assert os.listdir(tmp_path) == ["pipe"]
    assert pipe.is_fifo()
    with pytest.raises(IsADirectoryError):
        replace_text(tmp_path, "x")
