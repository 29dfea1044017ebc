"""What a folder of scores asks of the place that it lies in: this file system, or an object store.

`exists`, `read`, `put`, `create` and `names` of files; all that is in such a folder goes through
these. Here and there a file is put whole or not at all.
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

from jepa_jax import atomic_files
from jepa_jax.object_stores import Address, Place

_AT_ONCE = 16
_Read = TypeVar("_Read")


def exists(path: Place) -> bool:
    """Whether there is a file or folder."""
    return path.exists()


def read(path: Place) -> bytes:
    """All that a file holds; `FileNotFoundError` where there is none."""
    return path.read_bytes()


def put(path: Place, data: bytes) -> None:
    """`data` in the file's place, whole or not at all: never half of it, whatever happens."""
    if isinstance(path, Address):
        path.put(data)
    else:
        atomic_files.replace(path, _writing(data))


def put_text(path: Place, text: str) -> None:
    """`put` of a text in UTF-8."""
    put(path, text.encode())


def create(path: Place, data: bytes) -> None:
    """`data`, which is like no other, as a new file, whole; `FileExistsError` where there is one.

    Of several at once one alone succeeds (`Address.create` says where).
    """
    if isinstance(path, Address):
        path.create(data)
    else:
        atomic_files.create(path, _writing(data))


def names(folder: Place) -> list[str]:
    """The names in a folder, in order; none where there is no such folder; what is being written
    apart."""
    if isinstance(folder, Address):
        return folder.names()
    try:
        listed = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in listed if not atomic_files.is_leftover(name))


def each(paths: Iterable[Place], of: Callable[[Place], _Read]) -> Iterator[_Read]:
    """`of` every file, in order; of an object store's several at once, which wait for answers."""
    remaining = iter(paths)
    first = next(remaining, None)
    if first is None:
        return
    chained = itertools.chain([first], remaining)
    if isinstance(first, Path):
        yield from map(of, chained)
        return
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store") as pool:
        waiting = deque[Future[_Read]]()
        for path in chained:
            waiting.append(pool.submit(of, path))
            if len(waiting) >= _AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def make_folder(folder: Place) -> None:
    """The folder, made if need be; an object store has it when it has a file in it."""
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)


def _writing(data: bytes) -> Callable[[IO[bytes]], object]:
    return lambda file: file.write(data)
