"""Copies of, or links to, the selected files: planned first, done when told to."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from jepa_jax.atomic_files import create, remove_leftovers
from jepa_jax.data.readable import file_stamp, open_regular
from jepa_jax.data.record import original_name
from jepa_jax.object_stores import is_address
from jepa_jax.store.folder import check_apart


@dataclasses.dataclass(frozen=True)
class Transfer:
    """What a copy or link would do: `(from, to)` for each file `todo`, and for those `done` before.

    `missing`: files that are no longer there. `renamed`: how many were given another name, since
    two ids would have been one file. `changed`: files that are others now than those scored.
    """

    todo: list[tuple[Path, Path]]
    done: list[tuple[Path, Path]]
    missing: list[Path]
    renamed: int
    changed: list[Path]

    @property
    def bytes(self) -> int:
        """The size of the files still to be copied."""
        return sum(source.stat().st_size for source, _ in self.todo)


def plan_transfer(
    ids: Sequence[str],
    sources: Sequence[str],
    folder: Path,
    *,
    link: bool,
    stamps: Sequence[str | None] = (),
) -> Transfer:
    """Where each selected file would go: its id, below `folder`.

    `stamps`, of each file as it was scored, tell which are others now (`read_stamps`).

    Ids that lead out of the folder ('/data/a.jpg', '../a.jpg') are taken below it; where two would
    be one file, also on a file system that ignores case, '-2' is added to the later one's name.
    Nothing is ever overwritten: a link to the same file, or a file of the same size and time, was
    done before; anything else in the way raises `FileExistsError`, a link in the place of a folder
    included. Raises `ValueError` for images that are no files of their own (in an archive, a table
    or a data set), and for a folder within one of scores, or at an address such as 's3://b/x'.
    """
    check_apart(folder, itself=True)
    todo, done, missing, changed = [], [], [], []
    taken: set[str] = set()
    renamed = 0
    for id, source, stamp in zip(ids, sources, stamps or [None] * len(ids), strict=True):
        path = Path(original_name(source))
        if not _is_own_file(id, source):
            raise ValueError(
                f"{id!r} is no file of its own, it is inside {source}: only files are copied or "
                "linked; use --out for a list"
            )
        if is_address(source):
            raise ValueError(
                f"{id!r} is on an object store, at {source}: only files of this machine are copied "
                "or linked; use --out for a list"
            )
        if not path.is_file():
            missing.append(path)
            continue
        if stamp is not None and file_stamp(path) != stamp:
            changed.append(path)
        target = folder / _below(original_name(id))
        plain, number = target, 1
        while os.fspath(target).casefold() in taken:
            number += 1
            target = plain.with_name(f"{plain.stem}-{number}{plain.suffix}")
        taken.add(os.fspath(target).casefold())
        _refuse_links(folder, target)
        renamed += number > 1
        (done if _is_done(path, target, link) else todo).append((path, target))
    return Transfer(todo, done, missing, renamed, changed)


def transfer(
    plan: Transfer, *, link: bool, on_file: Callable[[Path], object] | None = None
) -> None:
    """Carries out a plan: copies with their times, or symbolic links to absolute paths."""
    cleaned: set[Path] = set()
    for source, target in plan.todo:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent not in cleaned:  # Of a copy that was killed.
            remove_leftovers(target.parent)
            cleaned.add(target.parent)
        if link:
            target.symlink_to(source.absolute())
        else:
            create(target, lambda file, source=source: _copy(source, file))
        if on_file is not None:
            on_file(target)


def _copy(source: Path, file: IO[bytes]) -> None:
    """The content of a file, its permissions and times."""
    with open_regular(source) as original:
        shutil.copyfileobj(original, file, 1 << 20)
        status = os.fstat(original.fileno())
    file.flush()
    if os.chmod in os.supports_fd:
        os.chmod(file.fileno(), status.st_mode & 0o777)
    if os.utime in os.supports_fd:
        os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def _refuse_links(folder: Path, target: Path) -> None:
    """Raises where the way from `folder` down to `target` leads through a link, or a file."""
    for parent in target.relative_to(folder).parents:
        way = folder / parent
        if way != folder and (way.is_symlink() or (way.exists() and not way.is_dir())):
            raise FileExistsError(
                f"{way} is in the way of {target}: it is no folder of its own, and nothing is "
                "written through a link"
            )


def _is_own_file(id: str, source: str) -> bool:
    """Whether the row's `source` is the image's own file, not one that holds many."""
    name, id_name = (
        PurePosixPath(original_name(text).replace(os.sep, "/")).name for text in (source, id)
    )
    return name == id_name


def _below(id: str) -> Path:
    """The id as a path that stays below a folder."""
    parts = [part for part in id.replace(os.sep, "/").split("/") if part not in ("", ".", "..")]
    return Path(*(part.replace(":", "_") if os.name == "nt" else part for part in parts))


def _is_done(source: Path, target: Path, link: bool) -> bool:
    """Whether `target` is the copy or the link already; raises where something else is there."""
    if not target.exists() and not target.is_symlink():
        return False
    if link and target.is_symlink() and Path(os.readlink(target)) == source.absolute():
        return True
    if not link and target.is_file() and not target.is_symlink():
        here, there = target.stat(), source.stat()
        if here.st_size == there.st_size and abs(here.st_mtime - there.st_mtime) < 2:
            return True
    raise FileExistsError(f"{target} is in the way of {source}: nothing is overwritten")
