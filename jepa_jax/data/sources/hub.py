"""Datasets of the Hugging Face library `datasets`: on disk, by name on the hub, or in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jepa_jax.data.columns import Kind, RowIds, image_in_cell, pick_id_column, pick_image_column
from jepa_jax.data.decoding import MAX_PIXELS
from jepa_jax.data.record import Record

_ROWS = 1000  # of the id column read at a time

_VALUE_KINDS: dict[str, Kind] = {
    "binary": "bytes",
    "large_binary": "bytes",
    "string": "path",
    "large_string": "path",
}


@dataclass(frozen=True, eq=False)
class DatasetRows:
    """The rows of a `Dataset` or `IterableDataset`, or of a dict of them by split, in order.

    The images are in the `datasets.Image` column, or one found by name and type
    (`columns.pick_image_column`): bytes, paths below `root`, or arrays. The id is the id column's
    value or the row's number (`columns.RowIds`), after '<split>/' if there are several splits.
    Of a `Dataset`, `load()` reads the row; of a stream, the record holds its bytes. `datasets`
    decodes nothing, so a damaged image is a row like any other. Raises `ValueError` if there is
    no column of images.

    >>> from datasets import Dataset
    >>> from jepa_jax.data import DatasetRows
    >>> rows = DatasetRows(Dataset.from_dict({"id": ["a", "b"], "image": [b"first", b"second"]}))
    >>> rows.count(), [record.id for record in rows]
    (2, ['a', 'b'])
    """

    dataset: Any
    name: str = "dataset"
    root: Path = Path()
    max_pixels: int | None = MAX_PIXELS

    def __str__(self) -> str:
        return f"dataset {self.name}"

    def __iter__(self) -> Iterator[Record]:
        from datasets import Dataset

        splits = self._splits()
        for split, dataset in splits.items():
            prefix = f"{split}/" if len(splits) > 1 else ""
            rows = self._stored if isinstance(dataset, Dataset) else self._streamed
            yield from rows(dataset, prefix)

    def count(self) -> int | None:
        """The number of rows; None for a stream."""
        from datasets import Dataset

        splits = self._splits().values()
        if not all(isinstance(dataset, Dataset) for dataset in splits):
            return None
        return sum(dataset.num_rows for dataset in splits)

    def _splits(self) -> dict[str, Any]:
        is_dict = isinstance(self.dataset, dict)
        return {str(k): v for k, v in self.dataset.items()} if is_dict else {"": self.dataset}

    def _stored(self, dataset: Any, prefix: str) -> Iterator[Record]:
        from datasets import Image as ImageFeature

        dataset = dataset.with_format(None)  # a user's transform would hide the stored values
        column, id_column = self._columns(dataset.features)
        feature = dataset.features[column]
        images = dataset.select_columns([column])
        if isinstance(feature, ImageFeature):
            images = images.cast_column(column, ImageFeature(decode=False))
        elif _kind(feature) == "array":
            images = images.with_format("numpy")
        load = partial(self._load_row, images, column, _array_type(feature))
        row_id = RowIds(prefix)
        for row, value in enumerate(_ids(dataset, id_column)):
            yield Record(row_id(row, value), self.name, partial(load, row))

    def _streamed(self, dataset: Any, prefix: str) -> Iterator[Record]:
        if dataset.features:
            dataset = dataset.decode(False)
        features = dataset.features or next(iter(dataset.take(1)), None)
        if features is None:
            return
        column, id_column = self._columns(features)
        dtype = _array_type(features[column])
        if dataset.features:
            dataset = dataset.select_columns([column, *([id_column] if id_column else [])])
        row_id = RowIds(prefix)
        for row, cells in enumerate(dataset):
            id = row_id(row, cells[id_column] if id_column else row)
            yield Record(id, self.name, partial(self._load_cell, cells[column], dtype))

    def _columns(self, features: Mapping[str, Any]) -> tuple[str, str | None]:
        kinds: dict[str, Kind | None] = {name: _kind(f) for name, f in features.items()}
        ids = [name for name, feature in features.items() if _is_id(feature)]
        return pick_image_column(kinds, str(self)), pick_id_column(ids)

    def _load_row(self, images: Any, column: str, dtype: str | None, row: int) -> Image.Image:
        return self._load_cell(images[row][column], dtype)

    def _load_cell(self, value: Any, dtype: str | None) -> Image.Image:
        if dtype is not None and value is not None:
            # `datasets` hands out lists, or int64 whatever was stored; 16 bits must stay 16.
            value = np.asarray(value).astype(dtype)
        return image_in_cell(value, self.root, self.max_pixels)


@dataclass(frozen=True)
class DatasetFolder:
    """A folder written by `datasets`' `save_to_disk`: the rows of `DatasetRows`.

    >>> import tempfile
    >>> from datasets import Dataset
    >>> from jepa_jax.data import DatasetFolder
    >>> folder = Path(tempfile.mkdtemp()) / "saved"
    >>> Dataset.from_dict({"id": ["a", "b"], "image": [b"first", b"second"]}).save_to_disk(folder)
    >>> DatasetFolder.recognises(folder), [record.id for record in DatasetFolder(folder)]
    (True, ['a', 'b'])
    """

    path: Path
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"dataset {self.path}"

    def __iter__(self) -> Iterator[Record]:
        return iter(self._rows())

    def count(self) -> int | None:
        """The number of rows of all splits; opens the dataset, reads no row."""
        return self._rows().count()

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether `path` is such a folder."""
        return (path / "dataset_dict.json").is_file() or (
            (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
        )

    def _rows(self) -> DatasetRows:
        from datasets import load_from_disk

        return DatasetRows(load_from_disk(str(self.path)), self.name, self.path, self.max_pixels)


@dataclass(frozen=True)
class HubDataset:
    """A dataset of the Hugging Face hub, streamed: the rows of `DatasetRows`.

    Without a `split`, all of them. Raises what `datasets.load_dataset` raises, when iterated.

    >>> HubDataset.from_spec("hf:owner/photos/small:train")
    HubDataset(path='owner/photos', config='small', split='train', max_pixels=89478485)
    """

    path: str
    config: str | None = None
    split: str | None = None
    max_pixels: int | None = MAX_PIXELS

    @classmethod
    def from_spec(cls, spec: str, max_pixels: int | None = MAX_PIXELS) -> HubDataset:
        """The dataset of `hf:[owner/]name[/config][:split]`; with a config, an owner is needed.

        Raises `ValueError` for anything else.
        """
        path, _, split = spec.removeprefix("hf:").partition(":")
        parts = path.split("/")
        if not spec.startswith("hf:") or len(parts) > 3 or not all(parts):
            raise ValueError(
                f"a hub dataset is written 'hf:owner/name[/config][:split]', got {spec!r}"
            )
        config = parts[2] if len(parts) == 3 else None
        return cls("/".join(parts[:2]), config, split or None, max_pixels)

    @property
    def name(self) -> str:
        config = f"/{self.config}" if self.config else ""
        split = f":{self.split}" if self.split else ""
        return f"hf:{self.path}{config}{split}"

    def __str__(self) -> str:
        return f"dataset {self.name}"

    def __iter__(self) -> Iterator[Record]:
        from datasets import load_dataset

        dataset = load_dataset(self.path, self.config, split=self.split, streaming=True)
        return iter(DatasetRows(dataset, self.name, max_pixels=self.max_pixels))

    def count(self) -> None:
        """Not known of a stream."""
        return None


def _ids(dataset: Any, column: str | None) -> Iterator[Any]:
    if column is None:
        yield from range(dataset.num_rows)
        return
    for batch in dataset.select_columns([column]).iter(_ROWS):
        yield from batch[column]


def _kind(feature: Any) -> Kind | None:
    # A feature, or, of a stream that does not declare its features, the first row's value.
    from datasets import Array2D, Array3D, Value
    from datasets import Image as ImageFeature

    if isinstance(feature, ImageFeature):
        return "struct"
    if isinstance(feature, Value):
        return _VALUE_KINDS.get(feature.dtype)
    if isinstance(feature, Mapping):
        return "struct" if {"bytes", "path"} & set(feature) else None
    if isinstance(feature, (bytes, str)):
        return "bytes" if isinstance(feature, bytes) else "path"
    if isinstance(feature, (Array2D, Array3D)):
        return "array"
    return "array" if _depth(feature) >= 2 else None


def _depth(feature: Any) -> int:
    if isinstance(feature, np.ndarray):
        return feature.ndim
    if isinstance(feature, list):
        return 1 + (_depth(feature[0]) if feature else 0)
    inner = getattr(feature, "feature", None)  # of `datasets.List` and its relatives
    return 0 if inner is None else 1 + _depth(inner)


def _array_type(feature: Any) -> str | None:
    if isinstance(feature, Mapping) or _kind(feature) != "array":
        return None
    while (inner := getattr(feature, "feature", None)) is not None:
        feature = inner
    return getattr(feature, "dtype", None)


def _is_id(feature: Any) -> bool:
    dtype = getattr(feature, "dtype", None)
    if isinstance(dtype, str):
        return dtype in ("string", "large_string") or dtype.lstrip("u").startswith("int")
    return isinstance(feature, (str, int))
