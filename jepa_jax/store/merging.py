"""`merge`: the folders of a run's parts as one, as if one process had made it."""

import contextlib
import filecmp
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jepa_jax import atomic_files
from jepa_jax.object_stores import Place, place
from jepa_jax.store.files import each, names, put, read
from jepa_jax.store.folder import check_scores_folder, locked, shard_index, shard_paths
from jepa_jax.store.manifest import PART, check_manifest, differing_settings, read_manifest
from jepa_jax.store.run_status import RunStatus
from jepa_jax.store.shards import read_ids


def merge(parts: Sequence[str | Place], out: str | Place, *, incomplete: bool = False) -> int:
    """Puts the parts of a run (`jepa-jax score --part`) into the folder `out`; returns its rows.

    Files are linked where the file system can, else copied, from and to object stores too; the
    parts stay. The command without
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
    folders, out = [place(part) for part in parts], place(out)
    if _itself(out) in map(_itself, folders):
        raise ValueError(f"{out} is one of the parts: give a new folder")
    settings, facts = _checked(folders, incomplete)
    shards = {shard_index(path): path for folder in folders for path in shard_paths(folder)}
    shards = dict(sorted(shards.items()))
    hashes = dict(zip(shards, each(shards.values(), _hashes), strict=True))
    if not incomplete:
        _check_whole(shards, hashes, settings["shard_size"])
    _check_once(shards, hashes)
    check_scores_folder(out)
    with locked(out) as check:
        check_manifest(out, settings, facts)
        there = set(names(out))
        for path in shards.values():
            _put(path, out / path.name, path.name in there, check)
    return sum(map(len, hashes.values()))


def _checked(folders: list[Place], incomplete: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings and facts of the whole, of parts that belong together."""
    first: dict[str, Any] = {}
    seen: dict[int, Place] = {}
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


def _check_whole(shards: dict[int, Place], hashes: dict[int, np.ndarray], size: int) -> None:
    """Raises where a file of the whole is missing, or one but the last has not `size` rows."""
    last = max(shards, default=-1)
    for index in range(last + 1):
        if index not in shards:
            raise ValueError(f"shard {index} of {last + 1} is in none of the parts")
        rows = len(hashes[index])
        if index < last and rows != size:
            raise ValueError(
                f"{shards[index]} has {rows} rows, expected {size}: the source was another one "
                "when another part was made"
            )


def _check_once(shards: dict[int, Place], hashes: dict[int, np.ndarray]) -> None:
    """Raises where an id comes twice."""
    everything = np.sort(np.concatenate([*hashes.values(), np.zeros(0, np.uint64)]))
    twice = set(everything[1:][everything[1:] == everything[:-1]].tolist())
    where: dict[str, Place] = {}
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


def _hashes(path: Place) -> np.ndarray:
    return np.array([_hash(name) for name in read_ids(path)], np.uint64)


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _itself(folder: Place) -> Place:
    """A folder by the one name that tells whether two are the same."""
    return folder.resolve() if isinstance(folder, Path) else folder


def _put(path: Place, target: Place, is_there: bool, check: Callable[[], None]) -> None:
    """A link to a file, or a copy; what is there already from an interrupted merge stays."""
    if is_there:
        if _are_equal(path, target):
            return
        raise ValueError(f"{target} is there, and is not {path}: give an empty or new folder")
    check()
    if isinstance(path, Path) and isinstance(target, Path):
        _link_or_copy(path, target)
    else:
        put(target, read(path))


def _are_equal(path: Place, other: Place) -> bool:
    if isinstance(path, Path) and isinstance(other, Path):
        return filecmp.cmp(path, other, shallow=False)
    return read(path) == read(other)


def _link_or_copy(path: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        os.link(path, target)
        return
    with path.open("rb") as file:
        atomic_files.create(target, lambda new: shutil.copyfileobj(file, new))
