"""A scores folder as such: the names in it, whose it is, and one writer at a time."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Parquet readers skip names that begin with an underscore: the folder reads as one table.
MANIFEST = "_manifest.json"
# The calibration that a run made for itself.
CALIBRATION = "_calibration"


def shard_path(out: Path, index: int) -> Path:
    """The file of shard `index`."""
    return out / f"scores-{index:06d}.parquet"


def shard_paths(out: Path) -> list[Path]:
    """The shards that are there, in order."""
    return sorted(out.glob("scores-*.parquet"))


def check_ours(folder: Path, ours: Callable[[str], bool]) -> None:
    """Raises where `folder` cannot be an output of ours.

    `NotADirectoryError` where a file is in the way, `FileExistsError` where the folder holds names
    that `ours` does not know.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"the output must be a folder, {folder} is a file")
    foreign = (
        sorted(p.name for p in folder.iterdir() if not ours(p.name)) if folder.exists() else []
    )
    if foreign:
        raise FileExistsError(
            f"the output folder {folder} holds other things ({', '.join(foreign[:3])}): "
            "give an empty or new one"
        )


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """The output folder for one writer, made if need be; leftovers of a killed one removed.

    Raises `NotADirectoryError` where a file is in the way, `FileExistsError` where the folder
    holds other things, and `BlockingIOError` while another process writes to it.
    """
    check_ours(out, _ours)
    out.mkdir(parents=True, exist_ok=True)
    with _exclusive(out):
        for leftover in out.glob(".*.tmp"):
            leftover.unlink()
        yield


def _ours(name: str) -> bool:
    return (
        name in (MANIFEST, CALIBRATION)
        or (name.startswith("scores-") and name.endswith(".parquet"))
        or (name.startswith((".scores-", f".{MANIFEST}")) and name.endswith(".tmp"))
    )


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
