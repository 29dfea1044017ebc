"""From what a user names (a path, a pattern, a hub dataset) to a source of records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jepa_jax.data import kinds
from jepa_jax.data.decoding import MAX_PIXELS
from jepa_jax.data.left_out import LeftOut, Tally, as_lines, left_out
from jepa_jax.data.opening_folder import Contents
from jepa_jax.data.patterns import is_pattern, matches
from jepa_jax.data.record import Record, writable_id
from jepa_jax.data.sources.clips import Clips
from jepa_jax.data.sources.filelist import FileList, ListFile
from jepa_jax.data.sources.hub import DatasetFolder, DatasetRows, HubDataset
from jepa_jax.data.sources.image_folder import IMAGE, Folder, kind_of_file
from jepa_jax.data.sources.npz import Npz
from jepa_jax.data.sources.parquet import Parquet
from jepa_jax.data.sources.shuffled import Shuffled
from jepa_jax.data.sources.source import Chain, Records, Source
from jepa_jax.data.sources.tar import Tar
from jepa_jax.object_stores import Address, Place, is_address, place

_HUB = "for a dataset of the Hugging Face hub write 'hf:owner/name'"
_LISTS = (".txt", ".lst")
_SHARDS = tuple(ending for endings in kinds.SHARDS.values() for ending in endings)


@dataclass(frozen=True)
class _Options:
    """What `open_source` was asked for beside the source."""

    max_pixels: int | None
    image_column: str | None
    id_column: str | None
    outside: bool

    @property
    def of_table(self) -> dict[str, Any]:
        """The arguments of a source of tables."""
        return {
            "max_pixels": self.max_pixels,
            "column": self.image_column,
            "id_column": self.id_column,
            "outside": self.outside,
        }


def open_source(
    source: str
    | os.PathLike[str]
    | Address
    | Sequence[str | os.PathLike[str]]
    | Iterable[Record]
    | Any,
    *,
    max_pixels: int | None = MAX_PIXELS,
    image_column: str | None = None,
    id_column: str | None = None,
    outside: bool = False,
) -> Source:
    """The source of images that `source` names.

    - a folder: one saved by `datasets`; else the images in it and below, or the .tar files, or the
      .parquet files with images, whichever it holds;
    - a file: an image, .tar, .tar.gz, .tgz, .parquet, .npz, or a .txt or .lst of paths;
    - a pattern such as 'shards/*.tar' or 'shards/{0000..0127}.tar': the files that match;
    - any of these on an object store, but for .npz and folders saved by `datasets`:
      's3://bucket/shards/', 'hf://datasets/owner/name/data' (`jepa_jax.object_stores`);
    - 'hf:owner/name', 'hf:owner/name:split', 'hf:owner/name/config:split';
    - a list of image paths, or of `Record`s; a dataset of the library `datasets`;
    - a `Source`: itself, and the options are then its own affair.

    What a folder holds is listed once, here; what the source leaves out,
    `jepa_jax.data.left_out.left_out` tells. `max_pixels` is the largest image decoded (see
    `decode`). Of tables: `image_column` and `id_column`, found by name and type unless given, may
    be paths ('meta.uid', 'images.0'); `outside`: a path in a cell may lead out of the table's
    folder, or be an address, where it is an error else.

    Raises `FileNotFoundError` if nothing is there, `ValueError` if what is there holds no images,
    or images of several kinds (naming the pattern of each), `TypeError` for another type.

    >>> open_source("hf:owner/photos:train").name
    'hf:owner/photos:train'
    """
    options = _Options(max_pixels, image_column, id_column, outside)
    if isinstance(source, str) and source.startswith("hf:") and "://" not in source:
        return HubDataset.from_spec(source, **options.of_table)
    if isinstance(source, (str, os.PathLike, Address)):
        name = str(source) if isinstance(source, Address) else os.fspath(source)
        opened = _open_path(os.path.expanduser(name), options)
        _check_columns(opened, options)
        _check_not_empty(opened)
        return opened
    if isinstance(source, (list, tuple)):
        return _open_list(source, max_pixels)
    if type(source).__module__.partition(".")[0] == "datasets":
        # Made here, by the user's own hand: its paths are.
        return DatasetRows(
            source, max_pixels=max_pixels, column=image_column, id_column=id_column, outside=True
        )
    if isinstance(source, Source):
        return source
    raise TypeError(
        "`source` must be a path, a list of paths, a dataset or a source of records (`__iter__`, "
        f"`count()`, `name`), got {type(source).__name__}"
    )


def source_options(source: Any) -> dict[str, Any]:
    """The options of `open_source` that a source was opened with and its records depend on.

    >>> source_options(open_source("hf:owner/photos:train", image_column="jpg"))
    {'image_column': 'jpg'}
    """
    parts = getattr(source, "sources", ())
    given = {
        "image_column": getattr(source, "column", None),
        "id_column": getattr(source, "id_column", None),
        "outside": not isinstance(source, DatasetRows) and getattr(source, "outside", False),
    }
    if isinstance(source, Clips):
        # One by one is what windows are without it.
        step = None if source.stride and source.frame_step == 1 else source.frame_step
        given |= {"stride": source.stride, "frame_step": step}
    own = {name: value for name, value in given.items() if value}
    if isinstance(source, Shuffled):
        own["shuffle"] = source.shuffle
    return own | (source_options(parts[0]) if parts else {})


def open_again(
    name: str,
    recorded: Mapping[str, Any],
    *,
    image_column: str | None = None,
    id_column: str | None = None,
    outside: bool = False,
    clips: int | None = None,
) -> Source:
    """The source that a manifest names, with the columns that it was opened with then.

    `recorded`: its `source_options`; the others come before these. `clips`: of a folder of clips,
    the frames of each that were scored; without a stride, a record has one of them, the middle.
    That a table's paths may lead out of its folder is not taken from a file: it must be asked for
    anew.
    """
    was = lambda column: value if isinstance(value := recorded.get(column), str) else None
    if clips is not None and Path(name).is_dir():
        stride = recorded.get("stride")
        if stride is None:
            return Clips(Path(name), 1)
        return Clips(Path(name), clips, stride=stride, frame_step=recorded.get("frame_step"))
    return open_source(
        name,
        image_column=was("image_column") if image_column is None else image_column,
        id_column=was("id_column") if id_column is None else id_column,
        outside=outside,
    )


def _open_path(name: str, options: _Options) -> Source:
    path = place(name) if "://" in name else Path(name)
    if path.is_dir():
        return _open_folder(path, options)
    if path.exists():
        return _open_file(path, options)
    if is_pattern(name):
        return _open_matches(name, matches(str(path) if "://" in name else name), options)
    if isinstance(path, Address):
        raise FileNotFoundError(f"no file or folder '{path}'")
    where = f"(looked in {Path.cwd()})"
    raise FileNotFoundError(f"no file or folder {name!r} {where}; {_HUB}")


def _open_folder(path: Place, options: _Options) -> Source:
    if isinstance(path, Path) and DatasetFolder.recognises(path):
        return DatasetFolder(path, **options.of_table)
    folder = Folder(path, options.max_pixels)
    contents = Contents.of(folder, options.image_column)
    kind = contents.kind()
    if kind == IMAGE:
        return folder
    files = [str(path / name) for name in contents.shards[kind]]
    skipped = contents.left_out(kind)
    return _open_shards(str(path), files, options, top=str(path), skipped=skipped)


def _open_file(path: Place, options: _Options) -> Source:
    kind = kind_of_file(path)
    if kind == "tar":
        return Tar(path, max_pixels=options.max_pixels)
    if kind == "table":
        table = Parquet(path, **options.of_table)
        table.check()
        return table
    if kind == "arrays":
        arrays = Npz(_on_disk(path), max_pixels=options.max_pixels)
        arrays.check()
        return arrays
    if path.name.lower().endswith(_LISTS):
        return ListFile(path, options.max_pixels)
    if kind == IMAGE:
        return FileList((str(path),), max_pixels=options.max_pixels)
    needed = kinds.what_is_needed(path.name)
    raise ValueError(
        f"'{path}' is no image that can be read: {needed}"
        if needed
        else f"'{path}' has an extension that is not known, {path.suffix!r}; known are "
        f"{', '.join((*_SHARDS, *_LISTS))} and images ({known_images()})"
    )


def _open_matches(pattern: str, found: list[str], options: _Options) -> Source:
    tally, by_kind = Tally(), dict[str, list[str]]()
    for name in found:
        if not is_address(name) and os.path.isdir(name):
            reason = "the pattern matches it, not what is in it: add '/**/*' and an ending"
            tally.add("folders", writable_id(name), reason)
        else:
            by_kind.setdefault(kind_of_file(name), []).append(name)
    others = by_kind.pop("", [])
    if others or len(by_kind) != 1:
        counts = [kinds.counted(len(names), kind) for kind, names in by_kind.items()]
        counts += [f"{len(others)} other files, such as {others[0]!r}"] if others else []
        raise ValueError(
            f"{pattern!r} must match images only, or files of one kind of {', '.join(_SHARDS)}; "
            f"it matches {', '.join(counts + as_lines(tally.entries()))}"
        )
    ((kind, files),) = by_kind.items()
    if kind == IMAGE:
        return FileList(tuple(files), max_pixels=options.max_pixels, skipped=tally.entries())
    return _open_shards(pattern, files, options, skipped=tally.entries())


def _open_shards(
    name: str,
    files: list[str],
    options: _Options,
    *,
    top: str | None = None,
    skipped: tuple[LeftOut, ...] = (),
) -> Source:
    # Ids begin with the path below the common folder: 'a/0.tar' and 'b/0.tar' must differ.
    whole = lambda path: path if is_address(path) else os.path.abspath(path)
    top = top or os.path.commonpath([os.path.dirname(whole(file)) for file in files])
    sources: list[Source] = []
    for file in files:
        path = place(file)
        label = Path(os.path.relpath(whole(file), whole(top))).as_posix()
        kind = kinds.shard_kind(file)
        if kind == "table":
            sources.append(Parquet(path, label, **options.of_table))
        elif kind == "arrays":
            sources.append(Npz(_on_disk(path), label, options.max_pixels))
        else:
            sources.append(Tar(path, label, options.max_pixels))
    return Chain(name, tuple(sources), skipped)


def _on_disk(path: Place) -> Path:
    if isinstance(path, Address):
        raise ValueError(f"'{path}': .npz files are read from disks only; copy it")
    return path


def _open_list(items: Sequence[Any], max_pixels: int | None) -> Source:
    if items and all(isinstance(item, Record) for item in items):
        return Records(tuple(items))
    for item in items:
        if not isinstance(item, (str, os.PathLike)):
            raise TypeError(f"a list of images must hold paths, got {type(item).__name__} in it")
    return FileList(tuple(os.fspath(item) for item in items), max_pixels=max_pixels)


def _check_columns(source: Source, options: _Options) -> None:
    """Raises where columns are named of a source that has none, or that its first table lacks."""
    named = {"image_column": options.image_column, "id_column": options.id_column}
    given = [f"`{name}`" for name, value in named.items() if value is not None]
    if not given:
        return
    first = source.sources[0] if isinstance(source, Chain) else source
    if not isinstance(first, (Parquet, DatasetFolder)):
        raise ValueError(f"{' and '.join(given)} are of tables; {source} is none")
    if isinstance(first, Parquet):
        first.check()


def _check_not_empty(source: Source) -> None:
    """Raises where a source has no image at all, which no run should take for its end."""
    known = isinstance(source, (Folder, FileList, HubDataset))  # Or only by a download.
    if known or next(iter(source), None) is not None:
        return
    holds = [f"it holds {source.contents()}"] if isinstance(source, Tar) else []
    holds += as_lines(left_out(source))
    raise ValueError(f"no images in {source}" + (f": {'; '.join(holds)}" if holds else ""))


def known_images() -> str:
    """The extensions of images, for messages."""
    return ", ".join(sorted(kinds.image_extensions()))
