"""Ids are text, and of two names no one id."""

import itertools

from jepa_jax.data.record import original_name, writable_id


def test_undecodable_bytes_are_spelled_out():
    assert writable_id("a/ü ?.png") == "a/ü ?.png"
    assert writable_id(b"bad\xff.png".decode("utf-8", "surrogateescape")) == r"bad\xff.png"


def test_two_names_never_become_one():
    pieces = [b"\xff", b"\\", b"x", b"ff", b"\\xff"]
    raw = {b"".join(p) for n in range(5) for p in itertools.product(pieces, repeat=n)}
    names = [name.decode("utf-8", "surrogateescape") for name in raw]
    assert len({writable_id(name) for name in names}) == len(names)
    assert [original_name(writable_id(name)) for name in names] == names
