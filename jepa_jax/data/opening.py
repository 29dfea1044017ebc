"""From what a user names (a path, a pattern, a hub dataset) to a source of records."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jepa_jax.data.decoding import MAX_PIXELS
from jepa_jax.data.kinds import has_image_extension, image_extensions
from jepa_jax.data.record import Record
from jepa_jax.data.sources.filelist import FileList, ListFile
from jepa_jax.data.sources.folder import Folder
from jepa_jax.data.sources.hub import DatasetFolder, DatasetRows, HubDataset
from jepa_jax.data.sources.npz import Npz
from jepa_jax.data.sources.parquet import Parquet
from jepa_jax.data.sources.source import Chain, Records, Source
from jepa_jax.data.sources.tar import TAR_EXTENSIONS, Tar

_HUB = "for a dataset of the Hugging Face hub write 'hf:owner/name'"
_LISTS = (".txt", ".lst")


def open_source(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Iterable[Record] | Any,
    *,
    max_pixels: int | None = MAX_PIXELS,
) -> Source:
    """The source of images that `source` names.

    - a folder: one saved by `datasets`; else, with an image anywhere below, its images; else all
      of its .tar or all of its .parquet files;
    - a file: an image, .tar, .tar.gz, .tgz, .parquet, .npz, or a .txt or .lst of paths;
    - a pattern such as 'shards/*.tar': the files that match, in order of their names;
    - 'hf:owner/name', 'hf:owner/name:split', 'hf:owner/name/config:split';
    - a list of image paths, or of `Record`s; a dataset of the library `datasets`;
    - a `Source`: itself, and `max_pixels` is then its own affair.

    `max_pixels` is the largest image decoded (see `decode`). Raises `FileNotFoundError` if nothing
    is there, `ValueError` if what is there holds no images, `TypeError` for another type.

    >>> open_source("hf:owner/photos:train").name
    'hf:owner/photos:train'
    """
    if isinstance(source, str) and source.startswith("hf:"):
        return HubDataset.from_spec(source, max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.path.expanduser(os.fspath(source)), max_pixels)
    if isinstance(source, (list, tuple)):
        return _open_list(source, max_pixels)
    if type(source).__module__.partition(".")[0] == "datasets":
        return DatasetRows(source, max_pixels=max_pixels)
    if isinstance(source, Source):
        return source
    raise TypeError(
        "`source` must be a path, a list of paths, a dataset or a source of records (`__iter__`, "
        f"`count()`, `name`), got {type(source).__name__}"
    )


def _open_path(name: str, max_pixels: int | None) -> Source:
    path = Path(name)
    if path.is_dir():
        return _open_folder(path, max_pixels)
    if path.exists():
        return _open_file(path, max_pixels)
    if glob.has_magic(name):
        matches = sorted(glob.glob(name, recursive=True))
        if matches:
            return _open_matches(name, matches, max_pixels)
        raise FileNotFoundError(f"no file matches {name!r} (looked in {Path.cwd()})")
    raise FileNotFoundError(f"no file or folder {name!r} (looked in {Path.cwd()}); {_HUB}")


def _open_folder(path: Path, max_pixels: int | None) -> Source:
    if DatasetFolder.recognises(path):
        return DatasetFolder(path, max_pixels)
    folder = Folder(path, max_pixels)
    if not folder.is_empty():
        return folder
    files = sorted(entry.path for entry in os.scandir(path) if entry.is_file())
    tars = [file for file in files if file.lower().endswith(TAR_EXTENSIONS)]
    tables = [file for file in files if file.lower().endswith(".parquet")]
    if tars and tables:
        raise ValueError(
            f"'{path}' holds {len(tars)} tar and {len(tables)} Parquet files; "
            f"name those you mean, as in '{path / '*.tar'}'"
        )
    if tars or tables:
        return _open_shards(str(path), tars or tables, max_pixels)
    raise ValueError(
        f"no images in '{path}': looked in it and its subfolders for image files "
        f"({_known_images()}), and in it for .tar and .parquet files"
    )


def _open_file(path: Path, max_pixels: int | None, label: str = "") -> Source:
    lower = path.name.lower()
    if lower.endswith(TAR_EXTENSIONS):
        return Tar(path, label, max_pixels)
    if lower.endswith(".parquet"):
        table = Parquet(path, label, max_pixels=max_pixels)
        table.check()
        return table
    if lower.endswith(".npz"):
        arrays = Npz(path, label, max_pixels)
        arrays.check()
        return arrays
    if lower.endswith(_LISTS):
        return ListFile(path, max_pixels)
    if has_image_extension(lower):
        return FileList((str(path),), max_pixels=max_pixels)
    shards = (*TAR_EXTENSIONS, ".parquet", ".npz")
    raise ValueError(
        f"'{path}' has an extension that is not known, {path.suffix!r}; known are "
        f"{', '.join((*shards, *_LISTS))} and images ({_known_images()})"
    )


def _open_matches(pattern: str, matches: list[str], max_pixels: int | None) -> Source:
    files = [match for match in matches if os.path.isfile(match)]
    images = [file for file in files if has_image_extension(file)]
    if images and len(images) == len(files):
        return FileList(tuple(images), max_pixels=max_pixels)
    shards = (*TAR_EXTENSIONS, ".parquet", ".npz")
    others = [file for file in files if not file.lower().endswith(shards)]
    if others or not files:
        raise ValueError(
            f"{pattern!r} must match images only, or {', '.join(shards)} files only; "
            f"it matches {(others or matches)[0]!r} and {len(matches) - 1} more"
        )
    return _open_shards(pattern, files, max_pixels)


def _open_shards(name: str, files: list[str], max_pixels: int | None) -> Source:
    # Ids begin with the path below the common folder: 'a/0.tar' and 'b/0.tar' must differ.
    top = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    labels = [Path(os.path.relpath(os.path.abspath(file), top)).as_posix() for file in files]
    sources: list[Source] = []
    for file, label in zip(files, labels, strict=True):
        path = Path(file)
        if path.suffix.lower() == ".parquet":
            sources.append(Parquet(path, label, max_pixels=max_pixels))
        elif path.suffix.lower() == ".npz":
            sources.append(Npz(path, label, max_pixels))
        else:
            sources.append(Tar(path, label, max_pixels))
    return Chain(name, tuple(sources))


def _open_list(items: Sequence[Any], max_pixels: int | None) -> Source:
    if items and all(isinstance(item, Record) for item in items):
        return Records(tuple(items))
    for item in items:
        if not isinstance(item, (str, os.PathLike)):
            raise TypeError(f"a list of images must hold paths, got {type(item).__name__} in it")
    return FileList(tuple(os.fspath(item) for item in items), max_pixels=max_pixels)


def _known_images() -> str:
    return ", ".join(sorted(image_extensions()))
