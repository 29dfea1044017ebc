"""`merge`: the folders of a run's parts as one, as if one process had made it."""

import contextlib
import filecmp
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jepa_jax.atomic_files import create
from jepa_jax.store.folder import check_scores_folder, locked, shard_paths
from jepa_jax.store.manifest import PART, check_manifest, differing_settings, read_manifest
from jepa_jax.store.run_status import RunStatus
from jepa_jax.store.shards import read_ids


def merge(parts: Sequence[str | Path], out: str | Path, *, incomplete: bool = False) -> int:
    """Puts the parts of a run (`jepa-jax score --part`) into the folder `out`; returns its rows.

    Files are linked where the file system can, else copied; the parts stay. The command without
    `--part` continues the folder. `incomplete`: parts may be missing or unfinished, and what lacks
    is what that command then does.

    Raises `ValueError`, naming folder and setting, on parts of different runs, a part that is given
    twice, missing or not finished, and where an id is in two rows: the source was another one when
    one of the parts was made. Memory: 8 bytes a row. Cost: every id is read.

    >>> import tempfile
    >>> from importlib.resources import files
    >>> from jepa_jax import Exact, Scorer, load_encoder
    >>> from jepa_jax.scoring.work import Part
    >>> from jepa_jax.store import merge
    >>> samples, top = files("jepa_jax") / "assets" / "samples", Path(tempfile.mkdtemp())
    >>> scorer = Scorer(load_encoder("embedded"), Exact())
    >>> for part in (Part(1, 2), Part(2, 2)):
    ...     _ = scorer.run(samples, top / str(part.index), part=part, shard_size=16)
    >>> merge([top / "1", top / "2"], top / "scores")
    41
    """
    folders, out = [Path(part) for part in parts], Path(out)
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise ValueError(f"{out} is one of the parts: give a new folder")
    settings, facts = _checked(folders, incomplete)
    shards = _shards(folders, settings, incomplete)
    rows = _count_ids(shards)
    check_scores_folder(out)
    with locked(out):
        check_manifest(out, settings, facts)
        for path in shards.values():
            _put(path, out / path.name)
    return rows


def _checked(folders: list[Path], incomplete: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings and facts of the whole, of parts that belong together."""
    first: dict[str, Any] = {}
    seen: dict[int, Path] = {}
    settings: dict[str, Any] = {}
    facts: list[dict[str, Any]] = []
    for folder in folders:
        manifest = read_manifest(folder)
        part = manifest["settings"].get(PART)
        if part is None:
            raise ValueError(f"{folder} is no part of a run: it was made without --part")
        own = {name: value for name, value in manifest["settings"].items() if name != PART}
        first, settings = first or part, settings or own
        differing = differing_settings(settings, own)
        if differing or part["of"] != first["of"]:
            differing |= {} if part["of"] == first["of"] else {"parts": (first["of"], part["of"])}
            lines = [f"{key}: {was!r} and {now!r}" for key, (was, now) in differing.items()]
            raise ValueError(
                f"{folders[0]} and {folder} are parts of different runs\n  " + "\n  ".join(lines)
            )
        if part["index"] in seen:
            raise ValueError(
                f"{seen[part['index']]} and {folder} are both part {part['index']}/{part['of']}"
            )
        seen[part["index"]] = folder
        status = RunStatus.read(folder)
        state = "never finished" if status is None else status.state
        if state != "finished" and not incomplete:
            raise ValueError(
                f"{folder} is not finished ({state}): run its command again, or merge what is "
                "there with --incomplete"
            )
        facts += [manifest["facts"], *manifest["facts"].get("continued", [])]
    if not first:
        raise ValueError("`parts` must name at least one folder, got none")
    missing = [f"{i}/{first['of']}" for i in range(1, first["of"] + 1) if i not in seen]
    if missing and not incomplete:
        raise ValueError(f"parts are missing: {', '.join(missing[:8])}")
    whole = {name: value for name, value in facts[0].items() if name != "continued"}
    others = [one for one in facts if one.get("device") != whole.get("device")]
    return settings, whole | ({"continued": others} if others else {})


def _shards(folders: list[Path], settings: dict[str, Any], incomplete: bool) -> dict[int, Path]:
    """The files of the whole by their numbers."""
    found = {int(path.stem[7:]): path for folder in folders for path in shard_paths(folder)}
    size, last = settings["shard_size"], max(found, default=-1)
    for index in range(last + 1):
        if incomplete:
            break
        if index not in found:
            raise ValueError(f"shard {index} of {last + 1} is in none of the parts")
        rows = len(read_ids(found[index])) if index < last else size
        if rows != size:
            raise ValueError(
                f"{found[index]} has {rows} rows, expected {size}: the source was another one "
                "when another part was made"
            )
    return dict(sorted(found.items()))


def _count_ids(shards: dict[int, Path]) -> int:
    """The number of rows; raises where an id comes twice."""
    hashes = [np.array([_hash(i) for i in read_ids(p)], np.uint64) for p in shards.values()]
    everything = np.sort(np.concatenate([*hashes, np.zeros(0, np.uint64)]))
    twice = set(everything[1:][everything[1:] == everything[:-1]].tolist())
    where: dict[str, Path] = {}
    for path in shards.values() if twice else ():
        for name in read_ids(path):
            if _hash(name) not in twice:
                continue
            if name in where:
                raise ValueError(
                    f"{name!r} is in {where[name]} and in {path}: the source has it twice, or was "
                    "another one when one of the parts was made"
                )
            where[name] = path
    return len(everything)


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _put(path: Path, place: Path) -> None:
    """A link to a file, or a copy; what is there already from an interrupted merge stays."""
    if place.exists():
        if filecmp.cmp(path, place, shallow=False):
            return
        raise ValueError(f"{place} is there, and is not {path}: give an empty or new folder")
    with contextlib.suppress(OSError):
        os.link(path, place)
        return
    with path.open("rb") as file:
        create(place, lambda new: shutil.copyfileobj(file, new))
