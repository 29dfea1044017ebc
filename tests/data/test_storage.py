"""What is an image's fault and what its storage's: tried again, then the end of the run."""

import errno
import os
import shutil

import pytest
from image_files import png, tarred, write
from PIL import Image

from jepa_jax.data import FileList, Record, open_source, storage
from jepa_jax.data.storage import Storage, StorageFailed, in_words, is_transient, was_transient


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The waits between tries, noted and not waited for."""
    found = []
    monkeypatch.setattr(storage.time, "sleep", found.append)
    return found


IMAGE = Image.new("RGB", (1, 1))


def failing(*errors):
    """A record whose `load()` raises these, one a call, and gives an image after that."""
    left = list(errors)

    def load():
        if left:
            raise left.pop(0)
        return IMAGE

    return Record("a.png", "photos/a.png", load)


@pytest.mark.parametrize("name", ["EIO", "ESTALE", "ENOTCONN", "ENODEV", "ETIMEDOUT", "EMFILE"])
def test_a_failure_of_the_storage_is_tried_again(waits, name):
    error = OSError(getattr(errno, name), "away")
    assert Storage().load(failing(error, error)) is IMAGE
    assert waits == [1.0, 4.0]
    with pytest.raises(StorageFailed, match=r"failed in 4 tries at photos/a\.png .*away") as found:
        Storage().load(failing(*[error] * 4))
    assert found.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ELOOP, "Too many levels of symbolic links"),
        OSError("image file is truncated"),
        ValueError("corrupt"),
        MemoryError(),
    ],
)
def test_the_fault_of_one_image_is_its_own(waits, error):
    with pytest.raises(type(error)) as found:
        Storage().load(failing(error))
    assert found.value is error
    assert waits == []


@pytest.fixture
def photos(tmp_path):
    for name in ("a.png", "deep/b.png", "deep/c.png"):
        write(tmp_path / "photos" / name, png())
    return tmp_path / "photos"


def test_a_file_that_is_gone_from_its_folder_is_its_own_fault(photos, waits):
    source = open_source(str(photos))
    found, first, *_ = Storage.of(source), *source
    (photos / "a.png").unlink()
    with pytest.raises(FileNotFoundError):
        found.load(first)
    assert waits == []


@pytest.mark.parametrize("leaves", ["nothing", "an empty folder", "another folder"])
def test_a_folder_that_is_gone_is_its_storages(photos, leaves):
    """Unmounted, it is an empty folder; that of another day's mount is another one."""
    source = open_source(str(photos))
    found, first, *_ = Storage.of(source), *source
    photos.rename(photos.with_name("kept"))  # So that no other can have its number.
    if leaves != "nothing":
        photos.mkdir()
    if leaves == "another folder":
        write(photos / "z.png", png())
    with pytest.raises(StorageFailed, match="photos is gone, or not what it was"):
        found.load(first)


def test_a_folder_below_that_is_gone_is_its_storages(photos):
    """A mount within the folder."""
    source = open_source(str(photos))
    found, (_, below, _) = Storage.of(source), source
    shutil.rmtree(photos / "deep")
    (photos / "deep").mkdir()
    with pytest.raises(StorageFailed, match="deep is gone"):
        found.load(below)


def test_a_folder_that_is_back_in_time_is_read(photos, monkeypatch):
    source = open_source(str(photos))
    found, first, *_ = Storage.of(source), *source
    away = photos.with_name("away")
    photos.rename(away)
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: away.rename(photos))
    assert found.load(first).size == (3, 2)


def test_an_archive_that_is_gone_is_its_storages(tmp_path):
    for name in ("0.tar", "1.tar"):
        write(tmp_path / "shards" / name, tarred({"a.png": png()}))
    source = open_source(str(tmp_path / "shards"))
    found, (_, second) = Storage.of(source), source
    (tmp_path / "shards" / "1.tar").unlink()
    with pytest.raises(StorageFailed, match=r"1\.tar is gone"):
        found.load(second)


def test_a_listed_file_that_never_was_is_its_own_fault(tmp_path, waits):
    listed = FileList((str(tmp_path / "mount" / "a.png"), str(tmp_path / "mount" / "b.png")))
    with pytest.raises(FileNotFoundError):
        Storage.of(listed).load(next(iter(listed)))
    assert waits == []


def test_a_folder_that_may_no_longer_be_read_is_its_storages(photos):
    if os.geteuid() == 0:
        pytest.skip("root may read anything")
    source = open_source(str(photos))
    found, first, *_ = Storage.of(source), *source
    photos.chmod(0)
    try:
        with pytest.raises(StorageFailed, match="is gone"):
            found.load(first)
    finally:
        photos.chmod(0o755)


# As the libraries that read addresses have them: no kinds of `OSError`, or without a number.
Timeout = type("Timeout", (Exception,), {})
ReadTimeout = type("ReadTimeout", (Timeout,), {})
NoConnection = type("ConnectionError", (OSError,), {})


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (OSError(errno.EISDIR, "Is a directory", "a.png"), False),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "a.png"), False),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a.png"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), True),
        (PermissionError(errno.EACCES, "Permission denied"), True),
        (TimeoutError("timed out"), True),
        (ReadTimeout("slow"), True),
        (NoConnection("refused"), True),
        (MemoryError(), True),
        (OSError("cannot identify image file"), False),
        (ValueError("[Errno 2] in the text"), False),
        (AssertionError(), False),
    ],
)
def test_transient_and_permanent_are_told_apart(error, transient):
    assert is_transient(error) is transient


def test_errors_in_words_say_their_kind_and_are_known_by_it_later():
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "b.png")
    assert was_transient(in_words(missing))
    for number in (errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG):
        assert not was_transient(in_words(OSError(number, os.strerror(number), "a.png")))
    assert in_words(AssertionError()) == "AssertionError: no message"
    assert not was_transient(in_words(AssertionError()))
    assert not was_transient("UnreadableImage: truncated PNG file (image file is truncated)")
    assert not was_transient("ValueError: [Errno 2] in the text")
    assert not was_transient(None)
