"""Files opened so that nothing is ever waited for, and what tells that one was replaced."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from jepa_jax.data.record import UnreadableImage
from jepa_jax.data.stored_files import StoredFile
from jepa_jax.object_stores import Address, Place

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


Readable = Path | StoredFile
"""A file here, or one on an object store as it was when it was looked at."""


def readable(path: Place) -> Readable:
    """A file, of which a store is asked once what it is; `FileNotFoundError` where it has none."""
    return StoredFile.at(path) if isinstance(path, Address) else path


def open_regular(path: str | os.PathLike[str] | Address | StoredFile) -> IO[bytes]:
    """A regular file, or a link to one, open for reading; on an object store, in ranges and ahead.

    Raises `UnreadableImage` for a named pipe, a socket or a device, whose reader could wait for
    ever, and `OSError` as `open` does.
    """
    if isinstance(path, Address):
        path = StoredFile.at(path)
    if isinstance(path, StoredFile):
        return path.open()
    refuse_special(path, os.stat(path))
    # Not blocking: the file may have become a pipe since.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        refuse_special(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def refuse_special(path: str | os.PathLike[str], status: os.stat_result) -> None:
    """Raises where this is neither a file nor a link to one."""
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            raise UnreadableImage(f"{os.fspath(path)} is {kind}, not a file")
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))


def file_stamp(path: str | os.PathLike[str] | Address) -> str | None:
    """The size and the time of change of a file, now; None if unknown. On a store, its own mark.

    Another stamp, another content, as a rule; the same one does not say that it is the same.

    >>> file_stamp("/no/such/file") is None
    True
    """
    try:
        if isinstance(path, Address):
            return StoredFile.at(path).stamp
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return f"{status.st_size}:{status.st_mtime_ns}"


def stamp_of(*paths: str | os.PathLike[str] | Address) -> Callable[[], str | None]:
    """What gives the stamp that an archive or table has now, or its files, for all its records."""
    stamps = [file_stamp(path) for path in paths]
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(stamps) or not known:
        return partial(_itself, None)
    if len(known) == 1:
        return partial(_itself, known[0])
    return partial(_itself, hashlib.blake2b(" ".join(known).encode(), digest_size=16).hexdigest())


def _itself(stamp: str | None) -> str | None:
    return stamp
