"""Addresses, what stores say, and what is tried again."""

import errno
from pathlib import Path

import pytest

from jepa_jax.object_stores import Address, StoreFailed, is_address, place, without_secrets

SECRET = "wJalrXUtnFEMIK7MDENG"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("s3://bucket/a/", Address("s3://bucket/a")),
        (Path("s3://bucket/a"), Address("s3://bucket/a")),  # 's3:/bucket/a', to `Path`.
        ("GS://bucket/a b#?.png", Address("gs://bucket/a b#?.png")),
        ("file:///data/a", Path("/data/a")),
        ("file://localhost/data/a", Path("/data/a")),
        ("data/a:b", Path("data/a:b")),
        ("hf:owner/name", Path("hf:owner/name")),
        ("C:/data", Path("C:/data")),
    ],
)
def test_what_is_meant(given, meant):
    assert place(given) == meant


@pytest.mark.parametrize(
    "address",
    [
        f"s3://key:{SECRET}@bucket/scores",
        f"az://container/scores?sv=2024&sig={SECRET}",
        f"s3://bucket?secret={SECRET}",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(address):
    with pytest.raises(ValueError, match="with a password or key in it") as error:
        place(address)
    assert SECRET not in str(error.value)


def test_an_address_of_another_kind_names_those_that_are_known():
    with pytest.raises(ValueError, match=r"must begin with one of file://, s3://.*'ftp://host/x'"):
        place("ftp://host/x")
    assert is_address("ftp://host/x")


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"gs:// needs gcsfs: pip install 'jepa-jax\[gs\]'"):
        Address("gs://bucket/x").exists()


def test_secrets_of_the_environment_are_in_no_text(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijkl")
    assert without_secrets(f"no {SECRET}, no hf_abcdefghijkl") == "no ..., no ..."
    assert without_secrets("https://x/y?X-Amz-Signature=1 z") == "https://x/y?... z"


def test_what_passes_is_tried_again(faulty):
    address = Address("memory://tried/a")
    faulty.faults = [OSError(errno.EBUSY, "Please reduce your request rate"), TimeoutError()]
    address.put(b"one")
    faulty.faults = [ConnectionResetError(errno.ECONNRESET, "reset"), ConnectionError()]
    assert address.read_bytes() == b"one"
    assert [what for what, _ in faulty.requests] == ["write"] * 3 + ["read"] * 3


def test_what_does_not_pass_is_an_error_without_secrets(faulty, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    address = Address("memory://tried/b")
    faulty.faults = [TimeoutError(f"timed out, with {SECRET}") for _ in range(4)]
    with pytest.raises(StoreFailed, match=r"could not be read in 4 tries.*timed out") as error:
        address.read_bytes()
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.errno == errno.EIO
    faulty.faults = [PermissionError("Access Denied")]
    with pytest.raises(PermissionError, match=r"\[Errno 13\] Access Denied: 'memory://tried/b'"):
        address.put(b"")
    assert not faulty.faults  # It was asked once.
    with pytest.raises(FileNotFoundError, match=r"\[Errno 2\].*'memory://tried/nowhere'"):
        Address("memory://tried/nowhere").read_bytes()


def test_a_file_is_created_once(faulty):
    address = Address("memory://tried/c")
    address.create(b"mine")
    with pytest.raises(FileExistsError, match="memory://tried/c"):
        address.create(b"theirs")
    assert address.read_bytes() == b"mine"


def test_a_creation_whose_answer_was_lost_is_not_taken_for_anothers(faulty):
    address, write = Address("memory://tried/d"), faulty.pipe_file

    def loses_the_answer(path, data, **how):
        write(path, data, **how)
        raise TimeoutError("no answer")

    faulty.pipe_file = loses_the_answer
    address.create(b"mine")
    assert address.read_bytes() == b"mine"


def test_names_are_those_of_the_folder_alone(faulty):
    top = Address("memory://named")
    for name in ("b.txt", "a/x.txt", "a/y.txt"):
        (top / name).put(b".")
    assert top.names() == ["a", "b.txt"]
    assert ((top / "a").is_dir(), (top / "a").is_file(), (top / "b.txt").is_file()) == (1, 0, 1)
    assert (top / "nowhere").names() == []
    assert [str(parent) for parent in (top / "a/x.txt").parents] == [
        "memory://named/a",
        "memory://named",
    ]
