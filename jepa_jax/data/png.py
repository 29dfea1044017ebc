"""PNG files without the chunks that no pixel depends on.

Pillow refuses a file whose compressed text or colour profile unpacks to more than 1 MB, or whose
text is damaged. None of it changes a pixel, so none of it is shown to Pillow.
"""

from __future__ import annotations

import bisect
import io
import itertools
import zlib
from typing import IO, Any

MAGIC = b"\x89PNG\r\n\x1a\n"

# What pixels, and the way up, depend on. Critical chunks (upper case) are kept whatever they are.
_KEPT = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT"})
_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
# Text may hold the way up; in so many bytes from its beginning it is looked for.
_MOST_TEXT = 1 << 24
_ORIENTATION = {
    b"exif": "exif",
    b"Raw profile type exif": "Raw profile type exif",
    b"XML:com.adobe.xmp": "xmp",
}


def without_metadata(file: IO[bytes]) -> tuple[IO[bytes], dict[str, Any]]:
    """A PNG file with the chunks that pixels depend on alone, and what is said of the way up.

    The second is what Pillow's `info` would have of it: EXIF data and XMP. What is no chunk, in a
    damaged file, is left as it is. Cost: a look at every chunk's head.
    """
    end = file.seek(0, io.SEEK_END)
    pieces, info, position = [(0, len(MAGIC))], dict[str, Any](), len(MAGIC)
    while position < end:
        file.seek(position)
        head = file.read(8)
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        after = position + 12 + length
        if len(name) < 4 or not name.isalpha():
            after = end
        elif name == b"eXIf" or name in _TEXT:
            _note(name, file.read(min(length + 4, _MOST_TEXT)), length, info)
            position = after
            continue
        elif name[:1].islower() and name not in _KEPT:
            position = after
            continue
        if pieces[-1][1] == position:
            pieces[-1] = (pieces[-1][0], after)
        else:
            pieces.append((position, after))
        position = end if name == b"IEND" else after
    file.seek(0)
    if len(pieces) == 1:
        return file, info
    return io.BufferedReader(_Pieces(file, pieces), 1 << 16), info


def _note(name: bytes, body: bytes, length: int, info: dict[str, Any]) -> None:
    """Puts what a chunk says of the way up into `info`; a damaged one says nothing."""
    whole = len(body) == length + 4
    if whole and zlib.crc32(name + body[:length]) != int.from_bytes(body[length:], "big"):
        return
    body = body[:length]
    if name == b"eXIf":
        info["exif"] = b"Exif\0\0" + body
        return
    key, _, value = body.partition(b"\0")
    if key not in _ORIENTATION or (key == b"exif" and name != b"tEXt"):
        return
    if name == b"zTXt":
        value = _unpacked(value[1:])
    elif name == b"iTXt":
        packed, rest = value[:1] != b"\0", value[2:].split(b"\0", 2)[-1]
        value = _unpacked(rest) if packed else rest
    known = _ORIENTATION[key]
    info[known] = value.decode("latin-1") if known.startswith("Raw") else value


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _MOST_TEXT)
    except zlib.error:
        return b""


class _Pieces(io.RawIOBase):
    """Pieces of a file, (start, end) each, read as one."""

    def __init__(self, file: IO[bytes], pieces: list[tuple[int, int]]) -> None:
        self._file, self._at, self._pieces = file, 0, pieces
        lengths = [end - start for start, end in pieces]
        self._ends = list(itertools.accumulate(lengths))  # of the pieces, here

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ends[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = bisect.bisect_right(self._ends, self._at)
        if piece == len(self._pieces):
            return 0
        left = self._ends[piece] - self._at
        self._file.seek(self._pieces[piece][1] - left)
        data = self._file.read(min(len(buffer), left))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
