"""What a killed run leaves behind: its rows, files that should not be there, processes."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from jepa_jax.atomic_files import is_leftover
from jepa_jax.store.folder import shard_paths
from jepa_jax.store.shards import read_table

# Columns of numbers, and those that must be the same.
NUMBERS = ("jepa_score", "std_error", "sketch_score", "sketch_std_error")
SAME = ("id", "status", "method", "rank", "flagged")


@dataclasses.dataclass(frozen=True)
class Difference:
    """Rows of a run that was killed against those of one that was not."""

    rows: int
    bitwise: int
    largest: float
    same: bool


def rows_of(out: Path) -> list[pa.Table]:
    """The shards of a folder, each verified; none where there is none."""
    return [read_table(path) for path in shard_paths(out)]


def faults(out: Path, ids: Sequence[str], shard_size: int, *, in_order: bool) -> list[str]:
    """What is wrong with a folder of a run that has ended; `in_order`: it had time to tidy up."""
    tables = rows_of(out)
    found = [i for table in tables for i in table["id"].to_pylist()]
    wrong = []
    if found != list(ids[: len(found)]):
        wrong.append("ids are not the source's, once and in order")
    if any(len(table) != shard_size for table in tables[:-1]):
        wrong.append("a shard before the last one is not full")
    if in_order and out.is_dir() and any(is_leftover(path.name) for path in out.iterdir()):
        wrong.append("a temporary file in the folder")
    return wrong


def difference(killed: Path, undisturbed: Path) -> Difference:
    """Of two finished folders."""
    a, b = (pa.concat_tables(rows_of(out)) for out in (killed, undisturbed))
    same = len(a) == len(b) and all(
        a[name].equals(b[name]) for name in SAME if name in b.column_names
    )
    largest, bitwise = 0.0, np.ones(len(b), bool)
    for name in NUMBERS if same else ():
        if name in b.column_names:
            x, y = (t[name].to_numpy().astype(np.float64) for t in (a, b))
            equal = (x == y) | (np.isnan(x) & np.isnan(y))
            bitwise &= equal
            largest = max(largest, float(np.abs(np.where(equal, 0, x - y)).max()))
    return Difference(len(a), int(bitwise.sum()) if same else 0, largest, same)


def left_behind(session: int, temporary: Path, seconds: float = 10.0) -> list[str]:
    """What is still there of a session of processes and its temporary folder, after a while."""
    end = time.monotonic() + seconds
    while (alive := _of_session(session)) and time.monotonic() < end:
        time.sleep(0.05)
    wrong = [f"a process left behind: {' '.join(p)[:80]}" for p in alive]
    wrong += [f"left in the temporary folder: {path.name}" for path in temporary.iterdir()]
    return wrong


def _of_session(session: int) -> list[list[str]]:
    import os

    found = []
    for process in psutil.process_iter():
        try:
            ended = process.status() == psutil.STATUS_ZOMBIE
            if not ended and os.getsid(process.pid) == session:
                found.append(process.cmdline())
        except (psutil.Error, OSError):
            continue
    return found
