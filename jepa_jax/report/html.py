"""The report: one HTML file that needs nothing else."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jepa_jax.object_stores import Place
from jepa_jax.report.conditional import conditional_score
from jepa_jax.report.labels import read_labels
from jepa_jax.report.near_duplicates import default_threshold, near_identical, relations
from jepa_jax.report.page_files import check_path, write_page
from jepa_jax.report.pictures import Where, find_pictures
from jepa_jax.report.rendering import Contents, render
from jepa_jax.report.thumbnails import rows_to_show
from jepa_jax.store.table import (
    ScoreTable,
    read_embeddings,
    read_hashes,
    read_patches,
    read_scores,
)


@dataclasses.dataclass(frozen=True)
class ReportSettings:
    """What goes into a report.

    `images`: where the images are now; None for the source that the scores name, "" for no
    pictures. `label_from`: see `read_labels`. `thumbnails`: at most so many. `similarity`: cosine
    above which images are near-identical; 0 for the default. `title`: of the page. `image_column`,
    `id_column`: of a table, None for those that the scores were made of; `outside`: a table's paths
    may lead out of its folder.
    """

    images: str | None = None
    label_from: str = "auto"
    thumbnails: int = 2000
    similarity: float = 0.0
    title: str = ""
    image_column: str | None = None
    id_column: str | None = None
    outside: bool = False

    def __post_init__(self):
        if self.thumbnails < 0:
            raise ValueError(f"`thumbnails` must be at least 0, got {self.thumbnails}")
        if not 0 <= self.similarity <= 1:
            raise ValueError(f"`similarity` must be between 0 and 1, got {self.similarity}")

    @property
    def where(self) -> Where:
        """Where the images are."""
        images = "" if self.thumbnails == 0 else self.images
        return Where(images, self.image_column, self.id_column, self.outside)


@dataclasses.dataclass(frozen=True)
class Written:
    """A report that was written: its size in bytes, rows and pictures, what it lacks, and whether
    its run is `unfinished`, in words."""

    path: Path
    bytes: int
    rows: int
    pictures: int
    lacks: str
    unfinished: str = ""


def write_report(
    folder: str | Place,
    path: str | Path,
    settings: ReportSettings = ReportSettings(),
    *,
    on_start: Callable[[int, int], object] | None = None,
    on_row: Callable[[object], None] | None = None,
) -> Written:
    """Writes the report on a scores folder to `path`, whole or not at all.

    The images are looked up by id in their source; where that is gone, the report says so and has
    no pictures. `on_start(total, 0)` and `on_row(row)` report the making of thumbnails. Memory: 1
    kB a row, and the embeddings if there are any. Raises `ValueError` or `OSError` where
    `folder` is no folder of scores or `path` within one, `FileExistsError` where that is there and
    not a report.
    """
    path = Path(path)
    check_path(path)
    table = read_scores(folder)
    labels = read_labels(
        table.ids,
        settings.label_from,
        settings.images or table.settings.get("source", ""),
        settings.where.columns(table.settings.get("source_options", {})),
    )
    hashes = read_hashes(table.folder)
    groups, threshold, conditional = _alike(table, hashes, settings.similarity)
    pixels = table.numbers("width") * table.numbers("height")
    most = settings.thumbnails
    rows = lambda: rows_to_show(table.scores, labels, groups, table.flags(), most, conditional)
    pictures, lacks = find_pictures(table, settings.where, rows, on_start=on_start, on_row=on_row)
    contents = Contents(
        table,
        labels,
        groups,
        threshold,
        relations(groups, pixels, hashes) if any(hashes) else None,
        conditional,
        pictures,
        read_patches(folder, list(pictures)),
        lacks,
        settings.label_from,
        settings.title,
    )
    size = write_page(path, render(contents))
    return Written(path, size, len(table), len(pictures), lacks, table.unfinished)


def _alike(
    table: ScoreTable, hashes: list[str | None], similarity: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Near-identical groups, their threshold, and conditional scores; without stored embeddings
    those of the hashes, 0, and NaN."""
    embeddings = read_embeddings(table.folder)
    if embeddings is None:
        return near_identical(None, hashes=hashes), 0.0, np.full(len(table), np.nan)
    conditional = conditional_score(table.scores, embeddings)
    threshold = similarity or default_threshold(embeddings)
    # The last that needs them: it may write over them.
    groups = near_identical(embeddings, threshold, hashes=hashes, overwrite=True)
    return groups, threshold, conditional
