"""A scores folder as such: the names in it, whose it is, and one writer at a time."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from jepa_jax.atomic_files import check_local, remove_leftovers
from jepa_jax.object_stores import Address, Place, place
from jepa_jax.store.files import exists, make_folder, names
from jepa_jax.store.lease import current, is_lock, leased

# Parquet readers skip names that begin with an underscore: the folder reads as one table.
MANIFEST = "_manifest.json"
# Where a run is, while it runs and after.
STATUS = "_status.json"
# The calibration that a run made for itself.
CALIBRATION = "_calibration"

_SHARD = re.compile(r"scores-(\d{6,})\.parquet")
# What systems and file managers put into any folder, beside hidden names: never touched.
_OF_SYSTEMS = {"Thumbs.db", "desktop.ini", "Icon\r", "lost+found", "@eaDir", "$RECYCLE.BIN"}


def shard_path(out: Place, index: int) -> Place:
    """The file of shard `index`."""
    return out / f"scores-{index:06d}.parquet"


def shard_index(path: Place) -> int:
    """Which shard a file of one is."""
    return int(path.stem.removeprefix("scores-"))


def shard_paths(out: Place) -> list[Place]:
    """The shards that are there, in order."""
    found = [(int(m[1]), m[0]) for name in names(out) if (m := _SHARD.fullmatch(name))]
    return [out / name for _, name in sorted(found)]


def check_ours(folder: Place, ours: Callable[[str], bool], *, on_stores: bool = False) -> None:
    """Raises where `folder` cannot be an output of ours.

    `NotADirectoryError` where a file is in the way, `FileExistsError` where the folder holds names
    that `ours` does not know (hidden ones count for nothing), `ValueError` where it is within a
    folder of scores, or an address such as 's3://b/x' and not `on_stores`.
    """
    check_apart(folder, on_stores=on_stores)
    folder = place(folder)
    if exists(folder) and not folder.is_dir():
        raise NotADirectoryError(f"the output must be a folder, {folder} is a file")
    foreign = sorted(
        name
        for name in names(folder)
        if not ours(name) and not name.startswith(".") and name not in _OF_SYSTEMS
    )
    if foreign:
        raise FileExistsError(
            f"the output folder {folder} holds other things ({', '.join(foreign[:3])}): "
            "give an empty or new one"
        )


def check_apart(
    path: str | os.PathLike[str] | Address, *, itself: bool = False, on_stores: bool = False
) -> None:
    """Raises `ValueError` where the output `path` would lie within a folder of scores.

    That is read as one table, and continued by its own command alone. `itself`: also where `path`
    is such a folder. Also where `path` is an address such as 's3://b/x' and not `on_stores`.
    """
    path = place(path) if on_stores else check_local(path)
    if isinstance(path, Address):
        _check_writable(path)
    here = path if isinstance(path, Address) else Path(os.path.abspath(path))
    for folder in (here, *here.parents) if itself else here.parents:
        if (folder / MANIFEST).is_file():
            raise ValueError(
                f"{path} would be put into {folder}, a folder of scores, which is read as one "
                "table: give a place beside it"
            )


def check_scores_folder(out: Place) -> None:
    """`check_ours` of a folder for scores, here or on an object store."""
    check_ours(out, _ours, on_stores=True)


@contextlib.contextmanager
def locked(out: Place) -> Iterator[Callable[[], None]]:
    """The output folder for one writer, made if need be; leftovers of a killed one removed.

    Gives what is to be called before each write: it raises where the folder is another's by now,
    which only an object store lets happen (`jepa_jax.store.lease`).

    Raises `NotADirectoryError` where a file is in the way, `FileExistsError` where the folder
    holds other things, and `BlockingIOError` while another process writes to it.
    """
    check_scores_folder(out)
    out = place(out)
    if isinstance(out, Address):
        with leased(out) as lease:
            yield lease.check
        return
    make_folder(out)
    with _exclusive(out):
        for folder in (out, out / CALIBRATION):
            if folder.is_dir():
                remove_leftovers(folder)
        yield _held


def is_written_to(out: Place) -> bool | None:
    """Whether a process holds the folder; None where that cannot be known."""
    if isinstance(out, Address):
        try:
            lock = current(out)
        except OSError:
            return None
        return lock is not None and lock.is_held()
    try:
        import fcntl

        handle = os.open(out, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)


def _ours(name: str) -> bool:
    own = name in (MANIFEST, STATUS, CALIBRATION) or is_lock(name)
    return own or _SHARD.fullmatch(name) is not None


def _check_writable(path: Address) -> None:
    """Raises where every file written would be a commit."""
    if path.scheme == "hf" and not path.url.startswith("hf://buckets/"):
        raise ValueError(
            f"{path} is in a repository, where each file written is a commit: write to a bucket of "
            "the hub ('hf://buckets/owner/name/scores'), or to another store"
        )


def _held() -> None:
    """A lock of the system is held for as long as the process lives."""


@contextlib.contextmanager
def _exclusive(out: Path) -> Iterator[None]:
    """An advisory lock on the folder itself, freed by the system however the process ends."""
    try:
        import fcntl
    except ImportError:  # Not on Windows: no second writer is detected there.
        yield
        return
    handle = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise BlockingIOError(f"another process is writing to {out}") from error
    try:
        yield
    finally:
        os.close(handle)
