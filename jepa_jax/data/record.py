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


def _no_stamp() -> None:
    return None


@dataclass(frozen=True)
class Record:
    """One image: where it is, and a function that reads it.

    `id` is stable from run to run and unique within its source. `source` is the file or archive
    that holds the image. `load()` does all the reading and decoding, in whatever thread calls it,
    and returns an 8-bit RGB image; it raises `UnreadableImage`, or `OSError` where the storage
    fails. `stamp()` is another text where the image may be another one: of the size and time of the
    file or archive; None where that is not known cheaply. Making a record reads no pixels where
    the format allows it. Undecodable bytes in `id` and `source` are spelled out (`writable_id`).

    >>> from PIL import Image
    >>> Record("a", "memory", lambda: Image.new("RGB", (4, 2))).load().size
    (4, 2)
    """

    id: str
    source: str
    load: Callable[[], Image.Image]
    stamp: Callable[[], str | None] = _no_stamp

    def __post_init__(self) -> None:
        # Names of files may hold what no table takes; most sources have spelled it before.
        for name in ("id", "source"):
            text = getattr(self, name)
            if not text.isascii() and text != (spelled := encodable(text)):
                object.__setattr__(self, name, spelled)


def broken(id: str, source: str, error: str | Exception) -> Record:
    """A record whose `load()` raises this error, `UnreadableImage` of a text: a loss is a row."""
    return Record(id, source, partial(_raise, error))


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


def encodable(text: str) -> str:
    """`text` as it is where UTF-8 has all of it, else as `writable_id` spells it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return writable_id(text)
        except UnicodeEncodeError:  # Halves of characters that stand for no byte.
            return text.encode("utf-8", "backslashreplace").decode()
    return text


def original_name(written: str) -> str:
    r"""The name that `writable_id` wrote, undecodable bytes as Python's file functions take them.

    >>> original_name(r"caf\xe9.jpg").encode("utf-8", "surrogateescape")
    b'caf\xe9.jpg'
    """
    if "\\x" not in written:
        return written
    unspelled = lambda m: "\\" if m[0] == "\\\\" else chr(0xDC00 + int(m[1], 16))
    return re.sub(r"\\\\|\\x([0-9a-f]{2})", unspelled, written)


def is_storage_error(error: BaseException) -> bool:
    """Whether the storage failed, or the path, rather than what the file holds.

    >>> is_storage_error(FileNotFoundError(2, "No such file")), is_storage_error(OSError("corrupt"))
    (True, False)
    """
    return isinstance(error, OSError) and error.errno is not None


def _raise(error: str | Exception) -> NoReturn:
    raise UnreadableImage(error) if isinstance(error, str) else error
