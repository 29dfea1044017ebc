"""The output folder: one atomic Parquet file a shard, and the manifest that locks the settings."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jepa_jax.scoring.folders import check_ours, differing_settings, replace

# Parquet readers skip names that begin with an underscore: the folder reads as one table.
MANIFEST = "_manifest.json"
# The calibration that a run made for itself.
CALIBRATION = "_calibration"

_COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "source": pa.string(),
    "status": pa.string(),
    "error": pa.string(),
    "jepa_score": pa.float64(),
    "std_error": pa.float64(),
    "rank": pa.int32(),
    "method": pa.string(),
}
_OPTIONAL: dict[str, dict[str, pa.DataType]] = {
    "embedding": {"embedding": pa.list_(pa.float32())},
    # The Frobenius norm is its largest values': 65 quantiles do not tell it.
    "spectrum": {"spectrum": pa.list_(pa.float32()), "log_frobenius": pa.float64()},
    "image": {"width": pa.int32(), "height": pa.int32(), "bits_per_pixel": pa.float32()},
    "views": {"views": pa.list_(pa.float64())},
    "calibrated": {"flagged": pa.bool_()},
    "refined": {"sketch_score": pa.float64(), "sketch_std_error": pa.float64()},
}


def schema(groups: tuple[str, ...]) -> pa.Schema:
    """The columns of a run that stores these groups."""
    columns = dict(_COLUMNS)
    for group in groups:
        columns |= _OPTIONAL[group]
    return pa.schema(list(columns.items()))


def shard_path(out: Path, index: int) -> Path:
    """The file of shard `index`."""
    return out / f"scores-{index:06d}.parquet"


def shard_paths(out: Path) -> list[Path]:
    """The shards that are there, in order."""
    return sorted(out.glob("scores-*.parquet"))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """A shard's rows; `ValueError` names a file that is not a shard."""
    try:
        return pq.read_table(path).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error


def read_ids(path: Path) -> list[str]:
    """The ids of a shard's rows."""
    try:
        return pq.read_table(path, columns=["id"])["id"].to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error


def count_rows(path: Path) -> int:
    """The number of a shard's rows, from its footer alone."""
    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error


def write_rows(path: Path, rows: list[dict[str, Any]], columns: pa.Schema) -> None:
    """Writes a whole shard, or nothing: readers never see half a file, even after a power cut."""
    table = pa.Table.from_pylist(rows, columns)

    def write(temporary: Path) -> None:
        pq.write_table(table, temporary, compression="zstd")

    replace(path, write)


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


def check_manifest(out: Path, settings: dict[str, Any], facts: dict[str, Any]) -> None:
    """Writes the manifest of a new run, or checks that a rerun has the same settings.

    `settings` are locked: `ValueError` lists each that differs, with both values. `facts` (when,
    on which device) are only recorded.
    """
    path = out / MANIFEST
    # Through JSON, so that both sides have its types.
    settings = json.loads(json.dumps(settings))
    rows = bool(shard_paths(out))
    if rows and not path.exists():
        raise ValueError(f"{out} holds scores but no {MANIFEST}: what made them is unknown")
    if not rows:  # Nothing is there that other settings could contradict.
        content = json.dumps({"settings": settings, "facts": facts}, indent=2)
        replace(path, lambda temporary: temporary.write_text(content + "\n"))
        return
    before = read_manifest(out)
    changed = [
        f"{key}: {was!r} before, {now!r} now"
        for key, (was, now) in differing_settings(before["settings"], settings).items()
    ]
    if changed:
        if before["facts"].get("encoder") != facts.get("encoder"):
            # Of fingerprints alone a reader learns nothing.
            name, other = before["facts"].get("encoder"), facts.get("encoder")
            changed.insert(0, f"encoder: {name} before, {other} now")
        raise ValueError(
            f"{out} was made with other settings; give another output folder, or the same settings"
            "\n  " + "\n  ".join(changed)
        )


def read_manifest(out: Path) -> dict[str, Any]:
    """The manifest of a scores folder; `FileNotFoundError` or `ValueError` where there is none."""
    path = Path(out) / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"no {MANIFEST} in {out}: not a folder of scores")
    try:
        content = json.loads(path.read_text())
        _ = content["settings"], content["facts"]  # Both must be there.
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a manifest of scores: {error!r}") from error
    return content
