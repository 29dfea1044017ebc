"""Files on object stores, read in ranges and ahead: archives and tables are never whole in memory.

A file is read in blocks of 4 MiB, the last ones of this process kept; where one is read after the
other, the next ones are on their way. So an archive is asked for once, in long reads, though its
headers are read first and its images then, each in a thread of its own.
"""

from __future__ import annotations

import functools
import io
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, cast

from jepa_jax.data.record import UnreadableImage
from jepa_jax.object_stores import Address

BLOCK = 4 << 20
AHEAD = 2
KEPT = 16
"""Blocks, of all files of this process: 64 MiB."""

# What is read whole, of an image: more than any takes that is decoded.
_MOST_BYTES = 1 << 30
# What tells of a version of a file, by the store.
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "blob_id", "xet_hash", "mtime", "LastModified")
_MARKS += ("last_modified", "updated", "created")


@dataclass(frozen=True)
class StoredFile:
    """A file on a store as it was when it was looked at: its `size`, and a `stamp` of its version,
    None where the store tells none. What is opened later is asked for no more than its bytes.

    >>> from jepa_jax.object_stores import Address
    >>> Address("memory://example-files/a.txt").put(b"hello")
    >>> file = StoredFile.at(Address("memory://example-files/a.txt"))
    >>> file.size, file.open().read()
    (5, b'hello')
    """

    address: Address
    size: int
    stamp: str | None = None

    @classmethod
    def at(cls, address: Address) -> StoredFile:
        """As it is now; `FileNotFoundError` where there is none."""
        info = address.info()
        if info is None or info.get("type") != "file":
            raise FileNotFoundError(2, "No such file", str(address))
        return cls.of_entry(address, info)

    @classmethod
    def of_entry(cls, address: Address, info: dict[str, Any]) -> StoredFile:
        """As a listing says."""
        size = int(info.get("size") or 0)
        mark = next((info[name] for name in _MARKS if info.get(name)), None)
        return cls(address, size, None if mark is None else f"{size}:{str(mark).strip(chr(34))}")

    def __str__(self) -> str:
        return str(self.address)

    def mark(self) -> str | None:
        """Its stamp, as a `Record` has it."""
        return self.stamp

    def open(self) -> IO[bytes]:
        """The file for reading, anywhere in it."""
        return cast(IO[bytes], io.BufferedReader(_Ranges(self), 64 << 10))

    def read(self) -> bytes:
        """All of it; `UnreadableImage` where that is more than an image has."""
        if self.size > _MOST_BYTES:
            raise UnreadableImage(f"{self} has {self.size} bytes: at most {_MOST_BYTES} are read")
        return self.address.read_bytes(self.size)


class Blocks:
    """The blocks of files that were read last, or are being read; for all threads of a process."""

    def __init__(self, size: int = BLOCK, kept: int = KEPT, ahead: int = AHEAD):
        self.size, self.kept, self.ahead = size, kept, ahead
        self._lock = threading.Lock()
        self._blocks: OrderedDict[tuple[StoredFile, int], Future[bytes]] = OrderedDict()
        self._pool = ThreadPoolExecutor(2 * (ahead + 1), thread_name_prefix="blocks")

    def read(self, file: StoredFile, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, or to the file's end."""
        parts, end = [], min(end, file.size)
        while start < end:
            number, offset = divmod(start, self.size)
            part = self._block(file, number)[offset : offset + end - start]
            if not part:
                break  # It has become shorter.
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def _block(self, file: StoredFile, number: int) -> bytes:
        with self._lock:
            # Two neighbours: it is read from its beginning on, or to its end.
            onwards = number == 0 or (file, number - 1) in self._blocks
            wanted = self._asked(file, number)
            for ahead in range(number + 1, number + 1 + self.ahead) if onwards else ():
                if ahead * self.size < file.size:
                    self._asked(file, ahead)
            self._blocks.move_to_end((file, number))
            while len(self._blocks) > self.kept:
                self._blocks.popitem(last=False)
        try:
            return wanted.result()
        except BaseException:
            with self._lock:
                if self._blocks.get((file, number)) is wanted:
                    del self._blocks[file, number]  # It is asked for again.
            raise

    def _asked(self, file: StoredFile, number: int) -> Future[bytes]:
        key = file, number
        if key not in self._blocks:
            start = number * self.size
            end = min(start + self.size, file.size)
            self._blocks[key] = self._pool.submit(file.address.read_range, start, end)
        return self._blocks[key]


@functools.cache
def blocks() -> Blocks:
    """Those of this process."""
    return Blocks()


class _Ranges(io.RawIOBase):
    """A file on a store as Python has files."""

    def __init__(self, file: StoredFile):
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = blocks().read(self._file, self._at, self._at + len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
