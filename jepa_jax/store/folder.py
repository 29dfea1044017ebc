"""A scores folder as such: the names in it, whose it is, and one writer at a time."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from jepa_jax.atomic_files import check_local, is_leftover, remove_leftovers

# Parquet readers skip names that begin with an underscore: the folder reads as one table.
MANIFEST = "_manifest.json"
# Where a run is, while it runs and after.
STATUS = "_status.json"
# The calibration that a run made for itself.
CALIBRATION = "_calibration"

_SHARD = re.compile(r"scores-(\d{6,})\.parquet")
# What systems and file managers put into any folder, beside hidden names: never touched.
_OF_SYSTEMS = {"Thumbs.db", "desktop.ini", "Icon\r", "lost+found", "@eaDir", "$RECYCLE.BIN"}


def shard_path(out: Path, index: int) -> Path:
    """The file of shard `index`."""
    return out / f"scores-{index:06d}.parquet"


def shard_paths(out: Path) -> list[Path]:
    """The shards that are there, in order."""
    found = [(int(m[1]), m[0]) for name in _names(out) if (m := _SHARD.fullmatch(name))]
    return [out / name for _, name in sorted(found)]


def check_ours(folder: Path, ours: Callable[[str], bool]) -> None:
    """Raises where `folder` cannot be an output of ours.

    `NotADirectoryError` where a file is in the way, `FileExistsError` where the folder holds names
    that `ours` does not know (hidden ones count for nothing), `ValueError` where it is an address
    such as 's3://b/x', or within a folder of scores.
    """
    check_apart(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"the output must be a folder, {folder} is a file")
    foreign = sorted(
        name
        for name in _names(folder)
        if not ours(name) and not name.startswith(".") and name not in _OF_SYSTEMS
    )
    if foreign:
        raise FileExistsError(
            f"the output folder {folder} holds other things ({', '.join(foreign[:3])}): "
            "give an empty or new one"
        )


def check_apart(path: str | Path, *, itself: bool = False) -> None:
    """Raises `ValueError` where the output `path` would lie within a folder of scores.

    That is read as one table, and continued by its own command alone. `itself`: also where `path`
    is such a folder. Also where `path` is an address such as 's3://b/x'.
    """
    path = check_local(path)
    here = Path(os.path.abspath(path))
    for folder in (here, *here.parents) if itself else here.parents:
        if (folder / MANIFEST).is_file():
            raise ValueError(
                f"{path} would be put into {folder}, a folder of scores, which is read as one "
                "table: give a place beside it"
            )


def check_scores_folder(out: Path) -> None:
    """`check_ours` of a folder for scores."""
    check_ours(out, _ours)


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """The output folder for one writer, made if need be; leftovers of a killed one removed.

    Raises `NotADirectoryError` where a file is in the way, `FileExistsError` where the folder
    holds other things, and `BlockingIOError` while another process writes to it.
    """
    check_scores_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    with _exclusive(out):
        for folder in (out, out / CALIBRATION):
            if folder.is_dir():
                remove_leftovers(folder)
        yield


def is_written_to(out: Path) -> bool | None:
    """Whether a process holds the folder; None where that cannot be known."""
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
    return name in (MANIFEST, STATUS, CALIBRATION) or _SHARD.fullmatch(name) is not None


def _names(folder: Path) -> list[str]:
    """The names in a folder, none where there is no such folder; what is being written apart."""
    try:
        return [name for name in os.listdir(folder) if not is_leftover(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


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
