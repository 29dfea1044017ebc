"""What a folder's listing found, kept on the disk: it is listed once, and memory does not grow."""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

_CHUNK = 1 << 20


class Listing:
    """Tuples of as many texts each, in a temporary file that is gone with this process.

    The texts have no zero bytes, as names have none. Every reader begins at the beginning.

    >>> listing = Listing(2)
    >>> listing.add(("a.png", "12"))
    >>> listing.add(("caf\\udce9.png", ""))
    >>> list(listing) == [("a.png", "12"), ("caf\\udce9.png", "")]
    True
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._file: Any = tempfile.TemporaryFile()
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []

    def add(self, texts: Sequence[str]) -> None:
        """One more."""
        self._waiting += [text.encode("utf-8", "surrogateescape") for text in texts]
        if len(self._waiting) > 10_000:
            self._write()

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        with self._lock:
            self._write()
        at, rest, fields = 0, b"", list[str]()
        while chunk := self._read(at):
            at += len(chunk)
            *whole, rest = (rest + chunk).split(b"\0")
            fields += [field.decode("utf-8", "surrogateescape") for field in whole]
            full = len(fields) // self.width * self.width
            yield from zip(*(iter(fields[:full]),) * self.width, strict=True)
            fields = fields[full:]

    def _read(self, at: int) -> bytes:
        with self._lock:
            self._file.seek(at)
            return self._file.read(_CHUNK)

    def _write(self) -> None:
        if self._waiting:
            self._file.seek(0, 2)
            self._file.write(b"\0".join(self._waiting) + b"\0")
            self._waiting = []
