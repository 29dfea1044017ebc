"""Files on object stores, such as 's3://bucket/scores', through fsspec.

An object is written whole or not at all, and read whole or in ranges. What fails in passing (a 503,
a connection that breaks) is tried again; then it is an `OSError`. Credentials are what fsspec takes
(environment, configuration files): no address with a password is taken, and none is said.
"""

from __future__ import annotations

import errno
import functools
import importlib.util
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jepa_jax.error_lines import first_line

STORES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
    "memory": "fsspec",
}
"""What addresses begin with, and the library that reads and writes them."""

RETRY_SECONDS = (0.2, 1.0, 4.0)
"""How long is waited before each new try of what a store failed to do."""

# 'C:/x' is a path of Windows; `Path` makes 's3:/b/x' of 's3://b/x'.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_PASSWORD = re.compile(r"[^/]*:[^/]*@|[^/?]*(?:/[^?]*)?\?[\w-]+=")
_EXTRAS = {"s3fs": "s3", "gcsfs": "gs", "adlfs": "az"}
# Variables whose values are no text to be read by others.
_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|CREDENTIAL|CONNECTION_STRING|ACCOUNT_KEY|API_KEY")

# Libraries have kinds of errors of their own, not always of `OSError`.
OF_NETWORK = frozenset(
    {"ConnectionError", "TimeoutError", "Timeout", "TimeoutException", "TransportError"}
    | {"ClientConnectionError", "HTTPError", "HTTPStatusError", "ClientResponseError"}
    | {"ClientPayloadError", "HTTPClientError", "IncompleteRead", "IncompleteReadError"}
    | {"ServiceRequestError", "ServiceResponseError", "ResponseStreamingError"}
)
_PASSING = {
    getattr(errno, name)
    for name in ("EBUSY", "EAGAIN", "EIO", "EREMOTEIO", "ETIMEDOUT", "ECONNRESET", "EPIPE")
    if hasattr(errno, name)
}
_Done = TypeVar("_Done")


class StoreFailed(OSError):
    """A store did not do what it was asked for, in several tries."""


def is_address(path: str | os.PathLike[str] | Address) -> bool:
    """Whether this is an address, and not a path here; 'file://' is one of both.

    >>> is_address("s3://bucket/scores"), is_address("C:/scores"), is_address("hf:owner/name")
    (True, False, False)
    """
    if isinstance(path, Address):
        return True
    text = os.fspath(path)
    return ":/" in text and _ADDRESS.fullmatch(text) is not None  # Of millions of paths.


def place(path: str | os.PathLike[str] | Address) -> Path | Address:
    """The file or folder that is meant: a path here, or an address on an object store.

    Raises `ValueError` for an address of another kind, and for one with a password in it.

    >>> place("s3://bucket/scores/"), place("file:///home/me")
    (Address('s3://bucket/scores'), PosixPath('/home/me'))
    """
    if isinstance(path, Address):
        return path
    match = _ADDRESS.fullmatch(os.fspath(path))
    if match is None:
        return Path(path)
    scheme, rest = match[1].lower(), match[2]
    if _PASSWORD.match(rest):
        raise ValueError(
            f"the address {without_secrets(f'{scheme}://{rest}')!r} was given with a password or "
            "key in it: give these as the store's library takes them (environment, configuration)"
        )
    if scheme == "file":
        # 'file:///x' is of this machine, as is 'file://localhost/x'.
        return Path("/" + rest.removeprefix("localhost/"))
    if scheme not in STORES:
        known = ", ".join(f"{name}://" for name in ("file", *STORES))
        raise ValueError(f"addresses must begin with one of {known}; got '{scheme}://{rest}'")
    return Address(f"{scheme}://{rest.rstrip('/')}")


@dataclass(frozen=True, order=True, repr=False)
class Address:
    """A file or folder on an object store, with the names that `pathlib` has for these things.

    Every method raises `FileNotFoundError` or `PermissionError` where the store says so,
    `StoreFailed` where it fails, `ValueError` where its library is not installed.

    >>> from jepa_jax.object_stores import Address
    >>> greeting = Address("memory://an-example") / "greeting.txt"
    >>> greeting.put(b"hello")
    >>> greeting.read_bytes(), greeting.parent.names(), greeting.name
    (b'hello', ['greeting.txt'], 'greeting.txt')
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"Address({self.url!r})"

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self.url.rstrip('/')}/{name}")

    @property
    def scheme(self) -> str:
        """'s3', 'gs', ..."""
        return self.url.partition("://")[0]

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its last ending."""
        return os.path.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The last ending of the name, with its dot."""
        return os.path.splitext(self.name)[1]

    @property
    def parent(self) -> Address:
        """The folder that it is in; of a bucket, itself."""
        return self.parents[0] if self.parents else self

    @property
    def parents(self) -> list[Address]:
        """The folders that it is in, the nearest first, down to the bucket."""
        scheme, _, rest = self.url.partition("://")
        parts = rest.split("/")
        return [Address(f"{scheme}://{'/'.join(parts[:n])}") for n in range(len(parts) - 1, 0, -1)]

    def exists(self) -> bool:
        """Whether there is a file or folder."""
        return self.info() is not None

    def is_file(self) -> bool:
        """Whether there is a file, an object."""
        return (self.info() or {}).get("type") == "file"

    def is_dir(self) -> bool:
        """Whether anything is below it."""
        return (self.info() or {}).get("type") == "directory"

    def size(self) -> int:
        """The bytes of a file."""
        found = self.info()
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.url)
        return int(found.get("size") or 0)

    def info(self) -> dict[str, Any] | None:
        """What the store says of it, `type` and `size` at least; None where there is nothing."""
        try:
            return self._asked("looked at", lambda fs, path: _fresh(fs).info(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_bytes(self, size: int | None = None) -> bytes:
        """All that a file holds; of so many bytes, where that is known."""
        return self._asked("read", lambda fs, path: _whole(fs.cat_file(path), size))

    def read_text(self, encoding: str = "utf-8") -> str:
        """All that a file holds, as text."""
        return self.read_bytes().decode(encoding)

    def read_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, which the file has."""
        read = lambda fs, path: fs.cat_file(path, start=start, end=end)
        return self._asked("read", lambda fs, path: _whole(read(fs, path), end - start))

    def put(self, data: bytes) -> None:
        """`data` in the file's place, whole or not at all."""
        self._asked("written", lambda fs, path: fs.pipe_file(path, data))

    def create(self, data: bytes) -> None:
        """`data`, which must be like no other, as a new file; `FileExistsError` if there is one.

        Of several at once one alone succeeds, where the store can (s3, gs, az); on hf and in memory
        it is looked first.
        """

        def attempt(fs: Any, path: str) -> None:
            try:
                fs.pipe_file(path, data, mode="create")
            except Exception as error:
                # Said in many ways; and a try whose answer was lost has made it.
                there = self._there()
                if there is None:
                    raise
                if there != data:
                    said = "a file of this name is there"
                    raise FileExistsError(errno.EEXIST, said, self.url) from error

        self._asked("made", attempt)

    def _there(self) -> bytes | None:
        try:
            return self.read_bytes()
        except FileNotFoundError:
            return None

    def remove(self) -> None:
        """Removes a file; one that is not there is removed."""
        try:
            self._asked("removed", lambda fs, path: fs.rm_file(path))
        except FileNotFoundError:
            pass

    def names(self) -> list[str]:
        """The names of files and folders in this one, in order; none where there is nothing."""
        return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in self.entries())

    def entries(self) -> list[dict[str, Any]]:
        """What the store says of each file and folder in this one."""
        try:
            listed = self._asked("listed", lambda fs, path: _fresh(fs).ls(path, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return []
        own = self.url.partition("://")[2].strip("/")
        # A folder made by hand is an empty object of its own name, in some stores.
        return [entry for entry in listed if entry["name"].strip("/") != own]

    def matches(self) -> list[Address]:
        """The files that this matches as a pattern ('s3://bucket/*.tar'), in order."""
        found = self._asked("listed", lambda fs, path: _fresh(fs).glob(path, detail=True))
        files = [name for name, entry in dict(found).items() if entry.get("type") == "file"]
        return [Address(f"{self.scheme}://{name.lstrip('/')}") for name in sorted(files)]

    def _asked(self, done: str, ask: Callable[[Any, str], _Done]) -> _Done:
        """What `ask` returns, tried again where the store fails in passing."""
        for wait in (*RETRY_SECONDS, None):
            try:
                fs = _file_system(self.scheme, os.getpid())
                return ask(fs, fs._strip_protocol(self.url))
            except Exception as error:
                if wait is None or not is_passing(error):
                    # Not from the error: what that holds is not ours to show.
                    raise self._as_ours(error, done, wait is None) from None
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _as_ours(self, error: Exception, done: str, is_last: bool) -> Exception:
        """An error of a store's library as one of the system's kinds."""
        said = without_secrets(first_line(error) or type(error).__name__)
        if type(error.__cause__).__name__ == "GatedRepoError":
            said = "this repository of the hub is gated: ask for access there, and set HF_TOKEN"
            return PermissionError(errno.EACCES, said, self.url)
        if isinstance(error, (FileNotFoundError, NotADirectoryError, FileExistsError)):
            number = error.errno or _NUMBERS[type(error)]
            known = error.strerror if error.errno else None
            return type(error)(number, known or os.strerror(number), self.url)
        if isinstance(error, StoreFailed | ValueError):
            return error
        if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
            return PermissionError(errno.EACCES, said, self.url)
        tries = f" in {len(RETRY_SECONDS) + 1} tries" if is_last else ""
        return StoreFailed(
            errno.EIO, f"it could not be {done}{tries} ({type(error).__name__}: {said})", self.url
        )


Place = Path | Address
"""A file or folder, here or on an object store."""

_NUMBERS = {
    FileNotFoundError: errno.ENOENT,
    NotADirectoryError: errno.ENOTDIR,
    FileExistsError: errno.EEXIST,
}


def is_passing(error: BaseException) -> bool:
    """Whether a store failed for a reason that may pass: it is overloaded, the network broke.

    >>> is_passing(TimeoutError()), is_passing(PermissionError(13, "denied"))
    (True, False)
    """
    if isinstance(error, StoreFailed) or type(error).__name__ == "OfflineModeIsEnabled":
        return False  # It was tried before; the hub's library was told to ask nobody.
    status = _http_status(error)
    if status is not None:
        return status in (408, 425, 429) or status >= 500
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    return bool({kind.__name__ for kind in type(error).__mro__} & OF_NETWORK)


def without_secrets(text: str) -> str:
    """`text` without the passwords and keys of addresses, or of this process's environment.

    >>> without_secrets("s3://me:secret@bucket/x?sig=abc is gone")
    's3://bucket/x?... is gone'
    """
    text = re.sub(r"://[^/@\s'\"]+@", "://", text)
    text = re.sub(r"(://[^\s'\"?]*)\?[\w-]+=[^\s'\"]*", r"\1?...", text)
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET.search(name):
            text = text.replace(value, "...")
    return text


def _whole(data: bytes, size: int | None) -> bytes:
    """`data`, which a connection that broke may have cut."""
    if size is not None and len(data) != size:
        raise ConnectionError(f"{len(data)} bytes arrived, {size} were expected")
    return data


def _http_status(error: BaseException) -> int | None:
    """The number that a server answered with, where the error knows one."""
    response = getattr(error, "response", None)
    places = (error, response if not isinstance(response, dict) else None)
    for where in places:
        for name in ("status_code", "status", "code"):
            value = getattr(where, name, None)
            if isinstance(value, int) and 100 <= value < 600:
                return value
    return None


def _fresh(fs: Any) -> Any:
    """A file system that does not answer from what it was told before."""
    fs.invalidate_cache()
    return fs


@functools.cache
def _file_system(scheme: str, process: int) -> Any:
    """The one of this process: each is a pool of connections, shared by all threads."""
    library = STORES[scheme]
    if importlib.util.find_spec(library) is None:
        extra = _EXTRAS.get(library)
        wanted = f"'jepa-jax[{extra}]'" if extra else library
        raise ValueError(f"{scheme}:// needs {library}: pip install {wanted}")
    import fsspec

    return fsspec.filesystem(scheme)
