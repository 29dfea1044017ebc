"""Ids are text, and of two names no one id."""

import itertools

from jepa_jax.data.record import Record, encodable, original_name, writable_id
from jepa_jax.data.storage import in_words


def test_undecodable_bytes_are_spelled_out():
    assert writable_id("a/ü ?.png") == "a/ü ?.png"
    assert writable_id(b"bad\xff.png".decode("utf-8", "surrogateescape")) == r"bad\xff.png"


def test_two_names_never_become_one():
    pieces = [b"\xff", b"\\", b"x", b"ff", b"\\xff"]
    raw = {b"".join(p) for n in range(5) for p in itertools.product(pieces, repeat=n)}
    names = [name.decode("utf-8", "surrogateescape") for name in raw]
    assert len({writable_id(name) for name in names}) == len(names)
    assert [original_name(writable_id(name)) for name in names] == names


def test_a_record_has_only_names_that_a_table_takes():
    """Also one that a source of a user's own makes."""
    made = Record("a\udce9.png", "caf\udce9/t.tar", lambda: None)  # pyright: ignore
    assert (made.id, made.source) == (r"a\xe9.png", r"caf\xe9/t.tar")
    assert Record(r"a\x41", "s", lambda: None).id == r"a\x41"  # pyright: ignore
    assert encodable("\ud800.png") == r"\ud800.png"
    error = OSError("caf\udce9.png is a named pipe")
    assert in_words(error) == r"OSError: caf\xe9.png is a named pipe"
