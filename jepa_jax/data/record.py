"""One image of a source: a stable id and a way to get its pixels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from PIL import Image


class UnreadableImage(ValueError):
    """An image cannot be turned into 8-bit RGB pixels; the message says what is wrong with it.

    >>> from jepa_jax.data import decode
    >>> decode(b"")
    Traceback (most recent call last):
    jepa_jax.data.record.UnreadableImage: empty file
    """


@dataclass(frozen=True)
class Record:
    """One image: where it is, and a function that reads it.

    `id` is stable from run to run and unique within its source. `source` is the file or archive
    that holds the image. `load()` does all the reading and decoding, in whatever thread calls it,
    and returns an 8-bit RGB image; it raises `UnreadableImage`, or `OSError` where the storage
    fails. Making a record reads no pixels where the format allows it.

    >>> from PIL import Image
    >>> Record("a", "memory", lambda: Image.new("RGB", (4, 2))).load().size
    (4, 2)
    """

    id: str
    source: str
    load: Callable[[], Image.Image]


def broken(id: str, source: str, message: str) -> Record:
    """A record whose `load()` raises `UnreadableImage(message)`: a loss becomes a row."""
    return Record(id, source, partial(_raise, message))


def writable_id(name: str) -> str:
    """`name` with undecodable bytes spelled out: results are UTF-8, file names need not be.

    Two names never become one: where a backslash could be taken for a spelled byte, it is doubled.
    """
    if name.isascii() and "\\x" not in name:
        return name
    spelled = any("\udc80" <= c <= "\udcff" for c in name)
    if "\\x" in name or (spelled and "\\" in name):
        name = name.replace("\\", "\\\\")
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def original_name(written: str) -> str:
    r"""The name that `writable_id` wrote, undecodable bytes as Python's file functions take them.

    >>> original_name(r"caf\xe9.jpg").encode("utf-8", "surrogateescape")
    b'caf\xe9.jpg'
    """
    if "\\x" not in written:
        return written
    unspelled = lambda m: "\\" if m[0] == "\\\\" else chr(0xDC00 + int(m[1], 16))
    return re.sub(r"\\\\|\\x([0-9a-f]{2})", unspelled, written)


def _raise(message: str) -> NoReturn:
    raise UnreadableImage(message)
