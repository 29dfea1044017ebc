"""Datasets of the Hugging Face library `datasets`: on disk, by name on the hub, or in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from jepa_jax.data.columns import (
    Column,
    choose_id_column,
    choose_image_column,
    columns_left_out,
    image_in_cell,
    pixel_type,
    python_values,
)
from jepa_jax.data.decoding import MAX_PIXELS
from jepa_jax.data.left_out import LeftOut
from jepa_jax.data.readable import stamp_of
from jepa_jax.data.record import Record
from jepa_jax.data.row_ids import RowIds
from jepa_jax.data.sources.image_folder import Folder, is_dataset
from jepa_jax.data.table_paths import TablePaths

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1000  # of the id column read at a time


@dataclass(frozen=True, eq=False)
class DatasetRows:
    """The rows of a `Dataset` or `IterableDataset`, or of a dict of them by split, in order.

    The images are in `column`, or in one found by name and type (`columns.pick_image_column`):
    bytes, paths, or arrays. The id is the value of `id_column`, or of one named like ids, or the
    row's number (`row_ids.RowIds`), after '<split>/' if there are several splits. Paths are below
    `root`; only with `outside`, as for a dataset made in this process, anywhere, and with `hub`,
    at addresses of that dataset. Of a `Dataset`, `load()` reads the row; of a stream, the
    record holds its bytes. `datasets` decodes nothing, so a damaged image is a row like any other.
    Raises `ValueError` if there is no column of images.

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
    column: str | None = None
    id_column: str | None = None
    outside: bool = True
    hub: str = ""

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

    def left_out(self) -> tuple[LeftOut, ...]:
        """Other columns that could be of images, or ids; of a stream nothing is known."""
        from datasets import Dataset

        for dataset in self._splits().values():
            if isinstance(dataset, Dataset):
                schema = _schema(dataset.features)
                return columns_left_out(schema, *self._columns(schema))
        return ()

    def _splits(self) -> dict[str, Any]:
        is_dict = isinstance(self.dataset, dict)
        return {str(k): v for k, v in self.dataset.items()} if is_dict else {"": self.dataset}

    def _stored(self, dataset: Any, prefix: str) -> Iterator[Record]:
        from datasets import Image as ImageFeature

        dataset = dataset.with_format(None)  # a user's transform would hide the stored values
        schema = _schema(dataset.features)
        column, id_column = self._columns(schema)
        dtype = pixel_type(column.type)
        images = dataset.select_columns([column.top])
        if isinstance(dataset.features[column.top], ImageFeature):
            images = images.cast_column(column.top, ImageFeature(decode=False))
        elif dtype is not None:
            images = images.with_format("numpy")
        else:
            images = images.with_format("arrow")
        load = partial(self._load_row, images, column, dtype)
        row_id = RowIds(prefix)
        stamp = stamp_of(*(file["filename"] for file in dataset.cache_files))
        for row, value in enumerate(_ids(dataset, id_column)):
            yield Record(row_id(row, value), self.name, partial(load, row), stamp)

    def _streamed(self, dataset: Any, prefix: str) -> Iterator[Record]:
        if dataset.features:
            dataset = dataset.decode(False)
            schema = _schema(dataset.features)
        else:
            first = next(iter(dataset.take(1)), None)
            if first is None:
                return
            schema = _schema_of_row(first)
        column, id_column = self._columns(schema)
        dtype = pixel_type(column.type)
        if dataset.features:
            wanted = [column.top, *([id_column.top] if id_column else [])]
            dataset = dataset.select_columns(list(dict.fromkeys(wanted)))
        row_id = RowIds(prefix)
        for row, cells in enumerate(dataset):
            id = row_id(row, id_column.of(cells[id_column.top]) if id_column else row)
            value = column.of(cells[column.top])
            yield Record(id, self.name, partial(self._load_cell, value, dtype))

    def _columns(self, schema: pa.Schema) -> tuple[Column, Column | None]:
        image = choose_image_column(schema, self.column, str(self))
        return image, choose_id_column(schema, self.id_column, image, str(self))

    def _load_row(self, images: Any, column: Column, dtype: Any, row: int) -> Image.Image:
        value = images[row][column.top]
        if hasattr(value, "to_pylist"):
            (value,) = value.to_pylist()
        return self._load_cell(column.of(value), dtype)

    def _load_cell(self, value: Any, dtype: Any) -> Image.Image:
        if dtype is not None and value is not None:
            # `datasets` hands out lists, or int64 whatever was stored; 16 bits must stay 16.
            value = np.asarray(value).astype(dtype)
        paths = TablePaths(self.root, self.outside, self.hub)
        return image_in_cell(value, paths, self.max_pixels)


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
    column: str | None = None
    id_column: str | None = None
    outside: bool = False

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

    def left_out(self) -> tuple[LeftOut, ...]:
        """Images and shards that lie in the folder beside the dataset's own files, and columns."""
        return self._rows().left_out() + Folder(self.path).beside_dataset()

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether `path` is such a folder."""
        return is_dataset(path)

    def _rows(self) -> DatasetRows:
        from datasets import load_from_disk

        return DatasetRows(
            load_from_disk(str(self.path)),
            self.name,
            self.path,
            self.max_pixels,
            self.column,
            self.id_column,
            self.outside,
        )


@dataclass(frozen=True)
class HubDataset:
    """A dataset of the Hugging Face hub, streamed: the rows of `DatasetRows`.

    Without a `split`, all of them. Raises what `datasets.load_dataset` raises, when iterated.

    >>> source = HubDataset.from_spec("hf:owner/photos/small:train")
    >>> source.path, source.config, source.split
    ('owner/photos', 'small', 'train')
    """

    path: str
    config: str | None = None
    split: str | None = None
    max_pixels: int | None = MAX_PIXELS
    column: str | None = None
    id_column: str | None = None
    outside: bool = False

    @classmethod
    def from_spec(
        cls, spec: str, max_pixels: int | None = MAX_PIXELS, **options: Any
    ) -> HubDataset:
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
        return cls("/".join(parts[:2]), config, split or None, max_pixels, **options)

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
        rows = DatasetRows(
            dataset,
            self.name,
            max_pixels=self.max_pixels,
            column=self.column,
            id_column=self.id_column,
            outside=self.outside,
            hub=self.path,
        )
        return iter(rows)

    def count(self) -> None:
        """Not known of a stream."""
        return None


def _ids(dataset: Any, column: Column | None) -> Iterator[Any]:
    if column is None:
        yield from range(dataset.num_rows)
        return
    # As Arrow: Python's lists would make of bytes and dates what the features say.
    ids = dataset.select_columns([column.top]).with_format("arrow")
    for batch in ids.iter(_ROWS):
        values = batch.column(0)
        yield from map(column.of, python_values(values.combine_chunks()))


def _schema(features: Any) -> pa.Schema:
    """The Arrow types of a dataset's columns, but for sound and film, which are stored as images
    are."""
    from datasets import Features

    moving = ("Audio", "Video")
    kept = {n: f for n, f in features.items() if type(f).__name__ not in moving}
    return Features(kept).arrow_schema


def _schema_of_row(cells: Mapping[str, Any]) -> pa.Schema:
    """The types of one row's values, of a stream that does not declare its columns."""
    import pyarrow as pa

    def type_of(value: Any) -> pa.DataType:
        try:
            value = value.tolist() if isinstance(value, np.ndarray) else value
            return pa.array([value]).type
        except (pa.ArrowException, TypeError):
            return pa.null()

    return pa.schema([(name, type_of(value)) for name, value in cells.items()])
