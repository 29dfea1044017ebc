"""What class an image belongs to: its folder, or what a table or the data set itself says."""

import posixpath
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jepa_jax.data import Chain, DatasetFolder, Parquet
from jepa_jax.data.opening import open_again
from jepa_jax.data.sources.tar import TAR_EXTENSIONS

# An id of these sources begins with the file's name, which is no class.
_FILES = (*TAR_EXTENSIONS, ".parquet", ".npz")
# With more folders than this, and fewer than so many images in each, folders are no classes.
_MOST_FOLDERS, _FEWEST_IMAGES = 50, 3


def read_labels(
    ids: Sequence[str],
    origin: str = "auto",
    source: str = "",
    options: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """The label of every row, an array of strings; "" where an image has none.

    `origin`: "folder" is the folder in an image's id, below the archive or table where there is
    one; "top" the first folder of it; "none" no labels; "auto" is "folder", unless folders are so
    many that they hold fewer than 3 images on average ("top" then, and with the same exception).
    "column:NAME" is a column of the `source` that was scored: Parquet files, or a data
    set saved by `datasets`, whose class names are used; `options` are the columns that it was
    opened with, as a manifest's `source_options` have them. Anything else is a CSV or Parquet file
    with the columns `id` and `label`; its ids are those of the scores. Ids that it lacks have no
    label.

    Raises `ValueError` where such a file lacks the columns, names an id twice with different labels
    or none of the ids, or the source has no such column or other images than the scores, and
    `FileNotFoundError` where either is missing.

    >>> read_labels(["cats/a.jpg", "x.tar/dogs/b.jpg", "c.jpg"]).tolist()
    ['cats', 'dogs', '']
    """
    if origin == "none":
        return np.full(len(ids), "", object)
    if origin in ("folder", "top", "auto"):
        folders = [posixpath.dirname(_within(id)) for id in ids]
        tops = [folder.partition("/")[0] for folder in folders]
        if origin != "auto":
            return np.array(folders if origin == "folder" else tops, object)
        for candidate in (folders, tops):
            if len(set(candidate)) <= max(_MOST_FOLDERS, len(ids) / _FEWEST_IMAGES):
                return np.array(candidate, object)
        return np.full(len(ids), "", object)
    if origin.startswith("column:"):
        return _from_source(ids, source, origin.removeprefix("column:"), options or {})
    return _from_table(ids, Path(origin))


def _within(id: str) -> str:
    """The id below the archive or table that it begins with."""
    parts = id.lstrip("/").split("/")
    shards = (place for place, part in enumerate(parts[:-1]) if part.lower().endswith(_FILES))
    return "/".join(parts[next(shards, -1) + 1 :])


def _from_source(
    ids: Sequence[str], name: str, column: str, options: Mapping[str, Any]
) -> np.ndarray:
    """Labels from a column of the source, whose records come in the order of its rows."""
    source = open_again(name, options)
    parts = source.sources if isinstance(source, Chain) else (source,)
    labels = [label for part in parts for label in _column(part, column)]
    found = [record.id for record in islice(source, len(ids))]
    if found != list(ids) or len(labels) < len(ids):
        raise ValueError(f"{name} has other images now than the scores: its labels are not theirs")
    return np.array(labels[: len(ids)], object)


def _column(source: Any, name: str) -> list[str]:
    """A column as texts; numbers of classes as their names."""
    if isinstance(source, Parquet):
        import pyarrow.parquet as pq
        from datasets import Features

        try:
            source.check()
        except ValueError:
            return [""]  # A table that is damaged, or has no images, is one row of its own.
        schema = pq.read_schema(source.path)
        features = Features.from_arrow_schema(schema)
        read = lambda: pq.read_table(source.path, columns=[name])[name].to_pylist()
        tables = [(features, read)]
    elif isinstance(source, DatasetFolder):
        from datasets import DatasetDict, load_from_disk

        saved = load_from_disk(str(source.path))
        splits = list(saved.values()) if isinstance(saved, DatasetDict) else [saved]
        tables = [(s.features, lambda s=s: s.with_format(None)[name]) for s in splits]
    else:
        raise ValueError(
            f"'column:{name}' needs Parquet files or a data set saved by `datasets`; "
            f"the scores are of {source}"
        )
    labels: list[str] = []
    for features, read in tables:
        if name not in features:
            columns = ", ".join(map(repr, features))
            raise ValueError(f"{source} has no column {name!r}; its columns are {columns}")
        values = list(read())
        names = getattr(features[name], "names", None)
        labels += [
            "" if v is None else str(names[v]) if names and isinstance(v, int) else str(v)
            for v in values
        ]
    return labels


def _from_table(ids: Sequence[str], path: Path) -> np.ndarray:
    """Labels by id from a CSV or Parquet file."""
    if not path.is_file():
        raise FileNotFoundError(
            f"labels are 'auto', 'folder', 'top', 'none', 'column:NAME' or a CSV or Parquet file; "
            f"there is no file {str(path)!r}"
        )
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
        else:
            from pyarrow import csv

            text = {"id": pa.string(), "label": pa.string()}
            options = csv.ConvertOptions(column_types=text, strings_can_be_null=False)
            table = csv.read_csv(path, convert_options=options)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a readable table of labels: {error}") from error
    if not {"id", "label"} <= set(table.column_names):
        names = ", ".join(map(repr, table.column_names))
        raise ValueError(f"{path} must have the columns 'id' and 'label', it has {names}")
    labels: dict[str, str] = {}
    for id, label in zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True):
        text = "" if label is None else str(label)
        if labels.setdefault(str(id), text) != text:
            raise ValueError(f"{path} gives {id!r} two labels, {labels[str(id)]!r} and {text!r}")
    if not any(id in labels for id in ids):
        example = ids[0] if ids else ""
        raise ValueError(f"{path} has a label for none of the {len(ids)} ids, such as {example!r}")
    return np.array([labels.get(id, "") for id in ids], object)
