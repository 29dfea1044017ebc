"""The index beside a WebDataset archive ('a.idx' beside 'a.tar'): its members without its headers.

As `wds2idx` of NVIDIA DALI writes it: "v1.2 SAMPLES", then a line a sample: extension, offset, size
and name of each of its files. It lists regular files alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from tarfile import BLOCKSIZE, ENCODING, HeaderError, TarInfo
from typing import IO

from jepa_jax.data.readable import open_regular
from jepa_jax.object_stores import Address, Place

_VERSION = b"v1.2 "


def indexed(path: Place, archive: IO[bytes]) -> Iterator[TarInfo] | None:
    """The members that the index of an archive at `path` lists; None without one, or where it is
    not of this archive: the headers are read then.

    It is believed where it can be read to its end, the archive has its first and its last member
    where it says, and nothing comes after that.
    """
    if path.suffix != ".tar":
        return None
    try:
        first = last = None
        with open_regular(_beside(path)) as file:
            for member in _members(file):
                first, last = first or member, member
        if first is None or last is None or not _is_end(archive, last):
            return None
        if any(not _has(archive, member) for member in (first, last)):
            return None
    except (OSError, ValueError):
        return None
    return _read(path)


def _read(path: Place) -> Iterator[TarInfo]:
    with open_regular(_beside(path)) as file:
        yield from _members(file)


def _beside(path: Place) -> Place:
    name = f"{path.stem}.idx"
    return path.parent / name if isinstance(path, Address) else path.with_name(name)


def _members(file: IO[bytes]) -> Iterator[TarInfo]:
    """`ValueError` where a line is not as it should be."""
    lines = iter(file)
    if not next(lines, b"").startswith(_VERSION):
        raise ValueError("another version")
    for line in lines:
        words = line.decode("utf-8", "surrogateescape").split()
        if len(words) % 4:
            raise ValueError("a name with a blank in it")
        for at in range(0, len(words), 4):
            extension, offset, size, name = words[at : at + 4]
            member = TarInfo(name)
            member.size, member.offset_data = int(size), int(offset)
            member.offset = member.offset_data - BLOCKSIZE
            if not name.endswith(extension) or member.size < 0 or member.offset < 0:
                raise ValueError("not a member")
            yield member


def _has(archive: IO[bytes], member: TarInfo) -> bool:
    """Whether the archive has this member there."""
    archive.seek(member.offset)
    try:
        found = TarInfo.frombuf(archive.read(BLOCKSIZE), ENCODING, "surrogateescape")
    except HeaderError:
        return False
    # A longer name stands before its header, which has its beginning, or what `tar` likes.
    same = found.name == member.name or len(member.name) > 100
    return found.isreg() and found.size == member.size and same


def _is_end(archive: IO[bytes], last: TarInfo) -> bool:
    """Whether the archive has this member whole, and then its end."""
    end = last.offset_data + -(-last.size // BLOCKSIZE) * BLOCKSIZE
    if archive.seek(0, os.SEEK_END) < last.offset_data + last.size:
        return False
    archive.seek(end)
    return not archive.read(2 * BLOCKSIZE).strip(b"\0")
