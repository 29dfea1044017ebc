"""A scores folder as a FiftyOne dataset on disk: samples, their fields and tags, saved views.

The format is FiftyOne's own (`fiftyone.types.FiftyOneDataset`, "FiftyOneDataset" in its user guide
under "Importing"): metadata.json and samples.json, which it loads without this package.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jepa_jax.atomic_files import replace_text
from jepa_jax.data.record import original_name
from jepa_jax.object_stores import is_address
from jepa_jax.store.folder import check_ours
from jepa_jax.store.table import ScoreTable

# Of the format as this release of FiftyOne writes it; later ones bring it up to date themselves.
_VERSION = "1.0.0"
_FILES = ("metadata.json", "samples.json")
_FIELDS = "fiftyone.core.fields."
# A field, its column, and FiftyOne's type of it.
_NUMBERS = {
    "jepa_score": ("jepa_score", "FloatField"),
    "jepa_std_error": ("std_error", "FloatField"),
    "jepa_rank": ("rank", "IntField"),
}
_TEXTS = {"jepa_id": "id", "jepa_status": "status", "jepa_error": "error", "jepa_method": "method"}
LEAST, MOST, NONE = "least typical", "most typical", "without a score"


def write_fiftyone(
    folder: Path, table: ScoreTable, labels: Sequence[str] | np.ndarray = (), *, extremes: int = 100
) -> int:
    """Writes `table` as a FiftyOne dataset into `folder`, a new one or such a dataset's; returns
    its samples.

    A sample is an image's file, with the fields `jepa_score`, `jepa_std_error` (nats), `jepa_rank`,
    `jepa_id`, `jepa_status`, `jepa_error`, `jepa_method` and, of `labels` that there are,
    `jepa_label`; what a row has no value for is empty. The `extremes` lowest and highest scores
    have the tags "least typical" and "most typical", and so have the saved views that are sorted;
    a third is of what has no score.

    Raises `ValueError` where images are no files of their own (in archives, tables, on an object
    store), `FileExistsError` where `folder` holds other things.

    >>> import tempfile, pyarrow as pa
    >>> from jepa_jax.report import ScoreTable, write_fiftyone
    >>> rows = {"id": ["a.png"], "source": ["photos/a.png"], "status": ["ok"], "rank": [62]}
    >>> table = ScoreTable(Path("scores"), {}, {}, pa.table(rows | {"jepa_score": [-90.0]}))
    >>> out = Path(tempfile.mkdtemp())
    >>> write_fiftyone(out, table)
    1
    >>> json.loads((out / "samples.json").read_text())["samples"][0]["jepa_score"]
    -90.0
    """
    check_ours(folder, _FILES.__contains__)
    if extremes < 1:
        raise ValueError(f"`extremes` must be at least 1, got {extremes}")
    paths = _paths(table)
    columns = _columns(table, labels)
    tags = _tags(table.scores, extremes)
    rand = np.random.default_rng(0).random(len(table))  # FiftyOne draws random samples by it.
    samples = [
        {"filepath": path, "tags": tags[i], "_media_type": "image", "_rand": float(rand[i])}
        | {name: values[i] for name, (values, _) in columns.items()}
        for i, path in enumerate(paths)
    ]
    metadata = _metadata({name: kind for name, (_, kind) in columns.items()}, extremes)
    folder.mkdir(parents=True, exist_ok=True)
    # Last: a folder without it is no dataset.
    replace_text(folder / "samples.json", json.dumps({"samples": samples}))
    replace_text(folder / "metadata.json", json.dumps(metadata, indent=1))
    return len(samples)


def _paths(table: ScoreTable) -> list[str]:
    """The absolute path of each row's image."""
    sources = [source or "" for source in table.rows["source"].to_pylist()]
    name, times = Counter(sources).most_common(1)[0]
    if times > 1:
        raise ValueError(
            f"FiftyOne's samples are files, and {times} images are within {name!r}: unpack it, "
            "and score the folder"
        )
    address = next((source for source in sources if is_address(source)), None)
    if address is not None:
        raise ValueError(f"FiftyOne's samples are files of this machine, got {address!r}")
    return [_encodable(os.path.abspath(original_name(source))) for source in sources]


def _encodable(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"FiftyOne's paths are UTF-8, got {path!r}: rename the file") from error
    return path


def _columns(
    table: ScoreTable, labels: Sequence[str] | np.ndarray
) -> dict[str, tuple[list[Any], str]]:
    """The values and type of every field."""
    found: dict[str, tuple[list[Any], str]] = {}
    for name, (column, kind) in _NUMBERS.items():
        values = table.scores if column == "jepa_score" else table.numbers(column)
        number = int if kind == "IntField" else float
        listed = [number(value) if np.isfinite(value) else None for value in values]
        found[name] = listed, kind
    for name, column in _TEXTS.items():
        if column in table.rows.column_names:
            found[name] = table.rows[column].to_pylist(), "StringField"
    if any(labels):
        found["jepa_label"] = [str(label) or None for label in labels], "StringField"
    return found


def _tags(scores: np.ndarray, extremes: int) -> list[list[str]]:
    tags: list[list[str]] = [[] for _ in scores]
    scored = np.flatnonzero(np.isfinite(scores))
    order = scored[np.argsort(scores[scored], kind="stable")]
    for name, rows in ((LEAST, order[:extremes]), (MOST, order[::-1][:extremes])):
        for row in rows.tolist():
            tags[row].append(name)
    return tags


def _metadata(kinds: dict[str, str], extremes: int) -> dict[str, Any]:
    own = {
        "id": ("ObjectIdField", "_id"),
        "filepath": ("StringField", "filepath"),
        "tags": ("ListField", "tags"),
        "metadata": ("EmbeddedDocumentField", "metadata"),
        "created_at": ("DateTimeField", "created_at"),
        "last_modified_at": ("DateTimeField", "last_modified_at"),
        "_media_type": ("StringField", "_media_type"),
        "_rand": ("FloatField", "_rand"),
        "_dataset_id": ("ObjectIdField", "_dataset_id"),
    }
    fields = [_field(name, kind, db) for name, (kind, db) in own.items()]
    fields += [_field(name, kind, name) for name, kind in kinds.items()]
    return {
        "version": _VERSION,
        "media_type": "image",
        "info": {"made by": "jepa-jax", "jepa_score": "nats, higher = more typical"},
        "sample_fields": fields,
        "saved_views": [
            _view(LEAST, [_exists(True), _sorted(reverse=False), _limit(extremes)]),
            _view(MOST, [_exists(True), _sorted(reverse=True), _limit(extremes)]),
            _view(NONE, [_exists(False)]),
        ],
    }


def _field(name: str, kind: str, db_field: str) -> dict[str, Any]:
    embedded = "fiftyone.core.metadata.ImageMetadata" if name == "metadata" else None
    return {
        "name": name,
        "ftype": _FIELDS + kind,
        "db_field": db_field,
        "embedded_doc_type": embedded,
        "subfield": f"{_FIELDS}StringField" if kind == "ListField" else None,
        "fields": [],
        "description": None,
        "info": None,
        "read_only": name in ("created_at", "last_modified_at"),
    }


def _view(name: str, stages: list[str]) -> dict[str, Any]:
    # FiftyOne gives it an id of its own when it is loaded.
    id = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
    slug = name.replace(" ", "-")
    return {"_id": {"$oid": id}, "name": name, "slug": slug, "view_stages": stages}


def _stage(kind: str, **arguments: Any) -> str:
    stage = {"_cls": f"fiftyone.core.stages.{kind}", "kwargs": [list(a) for a in arguments.items()]}
    return json.dumps(stage)


def _exists(wanted: bool) -> str:
    # An empty number sorts before all others: images without a score would be the lowest.
    return _stage("Exists", field="jepa_score", bool=wanted)


def _sorted(*, reverse: bool) -> str:
    return _stage("SortBy", field_or_expr="jepa_score", reverse=reverse, create_index=False)


def _limit(count: int) -> str:
    return _stage("Limit", limit=count)
