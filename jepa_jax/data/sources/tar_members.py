"""The members of a tar archive in its order; damage is an error, never the end."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from tarfile import (
    BLOCKSIZE,
    ENCODING,
    GNUTYPE_LONGLINK,
    GNUTYPE_LONGNAME,
    SOLARIS_XHDTYPE,
    XGLTYPE,
    XHDTYPE,
    EOFHeaderError,  # pyright: ignore[reportAttributeAccessIssue]
    HeaderError,
    ReadError,
    TarError,
    TarFile,
    TarInfo,
)
from typing import IO, cast

from jepa_jax.data.readable import Readable, open_regular
from jepa_jax.data.record import UnreadableImage

DAMAGE = (TarError, OSError, EOFError, zlib.error, ValueError, OverflowError)
"""What reading an archive that is not as it was written may raise."""

MOST_BYTES = 1 << 30
"""The largest member that is read: more than any image takes that is decoded."""

# Those hold names; `tarfile` reads one whole, however large it says that it is.
_NAMES = (GNUTYPE_LONGNAME, GNUTYPE_LONGLINK, XHDTYPE, XGLTYPE, SOLARIS_XHDTYPE)
_LONGEST_NAMES = 16 << 20
_CHUNK = 128 * BLOCKSIZE


def open_tar(path: Readable) -> tuple[IO[bytes], IO[bytes], bool]:
    """The file, to be closed; the archive in it, unpacked where it is gzipped; whether it is."""
    raw = open_regular(path)
    zipped = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return raw, cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if zipped else raw, zipped


def members(file: IO[bytes]) -> Iterator[tuple[TarFile, TarInfo]]:
    """Every member, with the archive as it is read; of archives one after the other, all of them.

    `cat a.tar b.tar` makes such a file, and `tar` itself reads the first one and says nothing.
    Raises what `DAMAGE` lists.
    """
    start: int | None = 0
    while start is not None:
        file.seek(start)
        with TarFile.open(fileobj=file, mode="r:", tarinfo=_StrictHeader) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # pyright: ignore  (it would keep every header read)
                yield tar, member
            start = _after_zeros(file, tar.offset)
        if start is not None:
            _check_header(file, start)


def content(tar: TarFile, member: TarInfo) -> bytes:
    """The content of a member, of which holes need not be in the file."""
    refuse_large(member.name, member.size)
    file = cast(IO[bytes], tar.extractfile(member))
    return file.read()


def refuse_large(name: str, size: int) -> None:
    """Raises for a member that no image is as large as: its memory is not asked for."""
    if size > MOST_BYTES:
        raise UnreadableImage(
            f"{name}, in the archive, has {size} bytes: at most {MOST_BYTES} are read"
        )


class _StrictHeader(TarInfo):
    # tarfile takes a damaged or missing header in mid-archive for the end: images would be lost
    # without a word.
    @classmethod
    def fromtarfile(cls, tarfile: TarFile) -> TarInfo:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            raise  # the two zero blocks at the proper end
        except HeaderError as error:
            at = tarfile.offset
            raise ReadError(f"truncated or corrupt tar archive ({error} at byte {at})") from error

    def _proc_member(self, tarfile: TarFile) -> TarInfo:
        if self.type in _NAMES and self.size > _LONGEST_NAMES:
            raise ReadError(f"corrupt tar archive (a name of {self.size} bytes)")
        return super()._proc_member(tarfile)  # pyright: ignore[reportAttributeAccessIssue]


def _after_zeros(file: IO[bytes], start: int) -> int | None:
    """Where the first block after `start` begins that is not of zeros; None where there is none."""
    file.seek(start)
    while chunk := file.read(_CHUNK):
        zeros = len(chunk) - len(chunk.lstrip(b"\0"))
        if zeros < len(chunk):
            return start + zeros // BLOCKSIZE * BLOCKSIZE
        start += len(chunk)
    return None


def _check_header(file: IO[bytes], start: int) -> None:
    """Raises where another archive does not begin there."""
    file.seek(start)
    try:
        TarInfo.frombuf(file.read(BLOCKSIZE), ENCODING, "surrogateescape")
    except HeaderError as error:
        raise ReadError(
            f"after the end of the archive, at byte {start}, there is what is none"
        ) from error
