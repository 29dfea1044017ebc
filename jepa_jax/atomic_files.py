"""Files written whole or not at all, and never over something that is not theirs to replace.

What is being written has a name of its own (`.jepa-jax-<16 hex digits>.tmp`), made anew in the
target's folder: a file or link that is there already is never opened, whatever it is called.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from jepa_jax.object_stores import Address, is_address, place, without_secrets

_TEMPORARY = re.compile(r"\.jepa-jax-[0-9a-f]{16}\.tmp")
# What a file system says that has no hard links.
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def replace(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """What `write` writes, put in `path`'s place: never half a file, even after a power cut.

    A link at `path` is replaced, not followed. Nothing is left behind where `write` fails. Raises
    `FileExistsError` where a device, a pipe or a socket is there.
    """
    path = check_local(path)
    _refuse_special(path)
    with _temporary(path, write) as temporary:
        os.replace(temporary, path)


def create(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """What `write` writes as the new file `path`, whole or not at all.

    Raises `FileExistsError` where anything has that name, a link to nothing included.
    """
    path = check_local(path)
    with _temporary(path, write) as temporary:
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # The name is taken first; what is replaced then is this empty file.
            os.close(os.open(path, _flags(), 0o666))
            os.replace(temporary, path)


def replace_text(path: str | Path, text: str) -> None:
    """`replace` by a text in UTF-8."""
    data = text.encode()
    replace(path, lambda file: file.write(data))


def remove_leftovers(folder: Path) -> None:
    """Removes what killed writers have left in `folder`; what one still writes is kept."""
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        if not is_leftover(entry.name) or not entry.is_file(follow_symlinks=False):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _lock(descriptor):
                    os.unlink(entry.path)
            finally:
                os.close(descriptor)


def is_leftover(name: str) -> bool:
    """Whether a file of this name is one that `replace` or `create` was writing."""
    return _TEMPORARY.fullmatch(name) is not None


def check_local(path: str | os.PathLike[str] | Address) -> Path:
    """The path of a local file or folder; `ValueError` where it is an address such as 's3://b/x'.

    >>> check_local("s3://bucket/scores")
    Traceback (most recent call last):
    ValueError: the output must be a local file or folder, got the address 's3://bucket/scores'
    """
    if is_address(path):
        written = without_secrets(re.sub(r":/+", "://", str(path), count=1))
        if not written.startswith("file://"):
            raise ValueError(
                f"the output must be a local file or folder, got the address {written!r}"
            )
    return Path(str(place(path)))


@contextlib.contextmanager
def _temporary(path: Path, write: Callable[[IO[bytes]], object]) -> Iterator[str]:
    """The name of a new file beside `path` with what `write` writes, removed at the end; what the
    file system refuses is said of `path`."""
    name = os.path.join(path.parent, f".jepa-jax-{os.urandom(8).hex()}.tmp")
    try:
        with os.fdopen(os.open(name, _flags(), 0o666), "wb") as file:
            _lock(file.fileno())
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":  # What is open cannot be moved there.
                file.close()
            yield name
    except OSError as error:
        if error.errno is not None and error.filename in (None, name):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def _refuse_special(path: Path) -> None:
    """Raises for what is neither file, link nor folder: as root, even /dev/null can be replaced."""
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind) or stat.S_ISDIR(kind)):
        raise FileExistsError(errno.EEXIST, "it is no file, and is not replaced", os.fspath(path))


def _flags() -> int:
    """Of a file that is made here and now, or not at all."""
    own = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return own | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def _lock(descriptor: int) -> bool:
    """Takes the advisory lock of an open file; False if another has it, or that is unknown."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
