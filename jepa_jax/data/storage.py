"""What failed when an image could not be read: the image, or the place where it is.

A broken image stays broken. A disk that fails, a network file system that is unmounted, a server
that does not answer say nothing about an image: that is tried again, and then ends a run, so that
no row says of an image what is true of its storage.
"""

from __future__ import annotations

import builtins
import dataclasses
import errno
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

from PIL import Image

from jepa_jax.data.record import Record, encodable, is_storage_error, original_name
from jepa_jax.object_stores import OF_NETWORK, is_address, place

RETRY_SECONDS = (1.0, 4.0, 15.0)
"""How long is waited before each new try of what the storage failed to give."""

_NAMES = (
    # A device or server that fails or is gone.
    *("EIO", "ENXIO", "ENODEV", "ENOMEDIUM", "EREMOTEIO", "ESTALE", "ENOTCONN", "ESHUTDOWN"),
    *("ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ENOLINK"),
    # This process or machine has too many files open, or no memory left.
    *("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"),
)
_OF_STORAGE = {getattr(errno, name) for name in _NAMES if hasattr(errno, name)}
# Where a file may be missing or closed off because all that was beside it is.
_OF_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM}
# The path itself is what is wrong: a folder, links that lead in a circle, a name of no file system.
_OF_PATH = {errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


def is_of_storage(error: BaseException) -> bool:
    """Whether an error says that a disk, a file system or a server fails, not what was read."""
    return isinstance(error, OSError) and error.errno in _OF_STORAGE


class StorageFailed(OSError):
    """The place where a source's images are failed, and not one image."""


def is_transient(error: BaseException) -> bool:
    """Whether the same image may be read another time: what failed is not its content or path.

    >>> is_transient(FileNotFoundError(2, "No such file")), is_transient(ValueError("corrupt"))
    (True, False)
    """
    if is_storage_error(error):
        return cast(OSError, error).errno not in _OF_PATH
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, MemoryError) or bool(names & OF_NETWORK)


def was_transient(text: str | None) -> bool:
    """`is_transient` of the error that a row names, as '[Errno 2] ...' after its kind.

    >>> was_transient("FileNotFoundError: [Errno 2] No such file or directory: 'b.png'")
    True
    """
    kind, _, rest = (text or "").partition(": ")
    of_system = getattr(builtins, kind, None)
    if isinstance(of_system, type) and issubclass(of_system, OSError) and rest.startswith("[Errno"):
        number = rest.removeprefix("[Errno").partition("]")[0].strip()
        return not (number.isdecimal() and int(number) in _OF_PATH)
    return kind == "MemoryError" or kind in OF_NETWORK


def in_words(error: BaseException) -> str:
    """The kind of an error and what it says; an error may say nothing, or name undecodable bytes.

    >>> in_words(AssertionError())
    'AssertionError: no message'
    """
    return encodable(f"{type(error).__name__}: {str(error) or 'no message'}")


@dataclasses.dataclass(frozen=True)
class Storage:
    """Where the images of a source are, as it was when a run began.

    `roots`: paths, each with what tells its folder or file from another one in its place.
    `listed`: whether every file was seen there by the source itself.
    """

    roots: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    listed: bool = False

    @classmethod
    def of(cls, source: Any) -> Storage:
        """That of a `Source`; sources that are no paths have none that is known."""
        found = {name: _identity(name) for name in _names(source)}
        roots = {name: identity for name, identity in found.items() if identity is not None}
        return cls(roots, listed=os.path.isdir(source.name))

    def here(self) -> Storage:
        """The same places as this machine sees them, which may be another one.

        Raises `StorageFailed` where it does not see one of them.
        """
        found = {name: _identity(name) for name in self.roots}
        missing = [name for name, identity in found.items() if identity is None]
        if missing:
            raise StorageFailed(
                f"{socket.gethostname()} does not see the images at {missing[0]}: they must lie "
                "on a file system that all nodes share"
            )
        roots = {name: identity for name, identity in found.items() if identity is not None}
        return dataclasses.replace(self, roots=roots)

    def load(self, record: Record) -> Image.Image:
        """`record.load()`, tried again where the storage failed.

        Raises what that raises, and `StorageFailed` where the storage fails to the last.
        """
        for wait in (*RETRY_SECONDS, None):
            try:
                return record.load()
            except Exception as error:
                reason = self._failure(error, record)
                if not reason:
                    raise
                if wait is None:
                    raise StorageFailed(
                        f"the storage of the images failed in {len(RETRY_SECONDS) + 1} tries at "
                        f"{record.source} ({reason}): rows that are written stay, and the same "
                        "command continues when it is back (a file that alone cannot be read may "
                        "be moved away)"
                    ) from error
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _failure(self, error: Exception, record: Record) -> str:
        """What of the storage has failed; '' where that is not it."""
        if not isinstance(error, OSError) or isinstance(error, StorageFailed):
            return ""
        if is_of_storage(error):
            return str(error)
        if error.errno not in _OF_FOLDER:
            return ""
        gone = [root for root, identity in self.roots.items() if _is_gone(root, identity)]
        if not gone and self.listed:
            # A folder below it, perhaps another file system of its own.
            folder = os.path.dirname(original_name(record.source))
            gone = [folder] if _is_gone(folder, _identity(folder)) else []
        return f"{gone[0]} is gone, or not what it was" if gone else ""


def _names(source: Any) -> Iterator[str]:
    """The paths that a source is named by, and those of the sources that it is made of."""
    yield source.name
    for part in getattr(source, "sources", ()):
        yield from _names(part)


def _identity(path: str) -> tuple[int, int] | None:
    """What tells the file or folder at a path from another one there."""
    try:
        if is_address(path):
            return (0, 0) if place(path).exists() else None
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _is_gone(path: str, identity: tuple[int, int] | None) -> bool:
    """Whether there is nothing at a path, another thing than before, or what cannot be looked into.

    Where a file system was mounted, an empty folder is left.
    """
    if identity is None or _identity(path) != identity:
        return True
    try:
        if is_address(path) or not os.path.isdir(path):
            return False
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return True
