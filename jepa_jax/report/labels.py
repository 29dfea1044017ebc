"""What class an image belongs to: its folder, or what a table or the data set itself says."""

import posixpath
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from jepa_jax.data.tar import TAR_EXTENSIONS

# An id of these sources begins with the file's name, which is no class.
_FILES = (*TAR_EXTENSIONS, ".parquet", ".npz")
# With more folders than this, and fewer than so many images in each, folders are no classes.
_MOST_FOLDERS, _FEWEST_IMAGES = 50, 3


def read_labels(ids: Sequence[str], origin: str = "auto") -> np.ndarray:
    """The label of every row, an array of strings; "" where an image has none.

    `origin`: "folder" is the folder in an image's id, without the name of an archive or table that
    the id begins with; "top" the first folder of it; "none" no labels; "auto" is "folder", unless
    folders are so many that they hold fewer than 3 images on average ("top" then, and with the same
    exception). Anything else is a CSV or Parquet file with the columns `id` and `label`; its ids
    are those of the scores. Ids that it lacks have no label.

    Raises `ValueError` where such a file lacks the columns, names an id twice with different labels
    or none of the ids, and `FileNotFoundError` where it is missing.

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
    return _from_table(ids, Path(origin))


def _within(id: str) -> str:
    """The id below the archive or table that it begins with."""
    first, _, rest = id.lstrip("/").partition("/")
    return rest if first.lower().endswith(_FILES) else id.lstrip("/")


def _from_table(ids: Sequence[str], path: Path) -> np.ndarray:
    """Labels by id from a CSV or Parquet file."""
    if not path.is_file():
        raise FileNotFoundError(
            f"labels are 'auto', 'folder', 'top', 'none' or a CSV or Parquet file; "
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
