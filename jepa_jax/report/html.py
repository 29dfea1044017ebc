"""The report: one HTML file that needs nothing else."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jepa_jax.data import HubDataset
from jepa_jax.data.opening import open_again
from jepa_jax.object_stores import Place
from jepa_jax.report import facts as image_facts
from jepa_jax.report import statistics, words
from jepa_jax.report.labels import read_labels
from jepa_jax.report.near_duplicates import default_threshold, near_identical
from jepa_jax.report.page_files import check_path, page, write_page
from jepa_jax.report.payload import Dictionary, pack, pack_pictures
from jepa_jax.report.thumbnails import make_thumbnails, rows_to_show, sample
from jepa_jax.store.table import ScoreTable, read_embeddings, read_scores, read_stamps

_SCRIPTS = ("store", "page", "pictures", "charts", "detail", "table", "explore", "main")
# Classes, kinds of failures and groups that are written out; the explorer has the others.
_MOST_CLASSES, _MOST_KINDS, _MOST_GROUPS = 1000, 50, 200
_STRIP = 24


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

    def columns(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a table to be read: those asked for, else those recorded."""
        asked = {"image_column": self.image_column, "id_column": self.id_column}
        return {**recorded, **{name: value for name, value in asked.items() if value is not None}}


@dataclasses.dataclass(frozen=True)
class Written:
    """A report that was written: its size in bytes, rows and pictures, and what it lacks."""

    path: Path
    bytes: int
    rows: int
    pictures: int
    lacks: str


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
        settings.columns(table.settings.get("source_options", {})),
    )
    groups, threshold = _groups(table, settings.similarity)
    flagged = table.flags()
    source, lacks = _source(table, settings)
    pictures: dict[int, bytes] = {}
    changed: list[int] = []
    if source is not None:
        rows = rows_to_show(table.scores, labels, groups, flagged, settings.thumbnails)
        if on_start is not None:
            on_start(len(rows), 0)
        try:
            pictures = make_thumbnails(
                source,
                table.ids,
                rows.tolist(),
                stamps=read_stamps(folder),
                on_changed=changed.append,
                on_row=on_row,
            )
        except (ValueError, OSError) as error:
            lacks = f"The images could not be read again: {error}"
        if changed:
            lacks = (
                f"{len(changed)} images have no picture: their files have changed since they were "
                f"scored, such as {table.ids[changed[0]]}. The same `jepa-jax score` command "
                "scores them again."
            )
        elif not pictures and len(rows) and not lacks:
            lacks = f"None of the images is in {source.name} any more."
    html = render(table, labels, groups, threshold, pictures, lacks, settings)
    return Written(path, write_page(path, html), len(table), len(pictures), lacks)


def render(
    table: ScoreTable,
    labels: np.ndarray,
    groups: np.ndarray,
    threshold: float,
    pictures: dict[int, bytes],
    lacks: str,
    settings: ReportSettings,
) -> str:
    """The report's HTML; `groups` are those of `near_identical`, `pictures` thumbnails by row."""
    scores, std_errors = table.scores, table.numbers("std_error")
    scored = np.isfinite(scores)
    chunks, places = pack_pictures(pictures, len(table))
    relations = image_facts.relations(table)
    summaries = statistics.classes(scores, labels) if len(set(labels)) > 1 else []
    failed = statistics.failures(table.status, table.rows["error"].to_pylist(), scored)
    found = words.findings(
        scores,
        std_errors,
        failed=failed,
        classes=summaries,
        relations=relations,
        repeated=statistics.repeated_scores(scores),
        groups=groups,
        threshold=threshold,
        flagged=table.flags(),
    )
    command = ["jepa-jax", "select", str(table.folder)]
    if settings.label_from != "auto":
        command += ["--labels", settings.label_from]
    order = np.flatnonzero(scored)[np.argsort(scores[scored], kind="stable")]
    histogram = statistics.histogram(scores, std_errors)
    largest = {c.label for c in sorted(summaries, key=lambda c: -c.count)[:_MOST_CLASSES]}
    facts = {
        "command": command,
        "histogram": None if histogram is None else dataclasses.asdict(histogram),
        "relations": [dataclasses.asdict(r) for r in relations],
        "known": [dataclasses.asdict(fact) for fact in image_facts.known(table)],
        "sample": sample(scores, _STRIP).tolist(),
        "lowest": order[:_STRIP].tolist(),
        "highest": order[::-1][:_STRIP].tolist(),
        "groups": _members(groups),
    }
    return page(
        "report.html",
        _SCRIPTS,
        title=settings.title or f"JEPA-SCORE of {table.settings['source']}",
        source=table.settings.get("source", ""),
        rows=len(table),
        scored=int(scored.sum()),
        pictures=len(pictures),
        lacks=lacks,
        findings=found,
        command=command,
        histogram=histogram,
        classes=[c for c in summaries if c.label in largest],
        more_classes=len(summaries) - len(largest),
        relations=relations,
        jpeg_size=image_facts.of_jpeg_size(table, relations),
        failures=failed[:_MOST_KINDS],
        more_failures=sum(f.count for f in failed[_MOST_KINDS:]),
        ids=table.ids,
        groups=int(groups.max(initial=-1)) + 1,
        threshold=threshold,
        has_embeddings=threshold > 0,
        sentences=words.describe_run(table.settings, table.facts),
        manifest=_flat({"settings": table.settings, "facts": table.facts}),
        facts=facts,
        packed=pack(_columns(table, labels, groups) | places),
        chunks=chunks,
    )


def _groups(table: ScoreTable, similarity: float) -> tuple[np.ndarray, float]:
    """Near-identical groups and their threshold; none, and 0, without stored embeddings."""
    embeddings = read_embeddings(table.folder)
    if embeddings is None:
        return np.full(len(table), -1), 0.0
    threshold = similarity or default_threshold(embeddings)
    return near_identical(embeddings, threshold, overwrite=True), threshold


def _source(table: ScoreTable, settings: ReportSettings) -> tuple[Any, str]:
    """Where the images are, or None and why there are no pictures."""
    if settings.images == "" or settings.thumbnails == 0:
        return None, "It was made without pictures."
    name = settings.images or table.settings.get("source", "")
    try:
        columns = settings.columns(table.settings.get("source_options", {}))
        source = open_again(name, columns, outside=settings.outside)
    except (ValueError, OSError, TypeError) as error:
        if settings.images:
            raise
        return None, (
            f"There are no pictures: the images are no longer where they were scored ({error}). "
            "Say where they are with --images."
        )
    if isinstance(source, HubDataset) and not settings.images:
        return None, (
            f"There are no pictures: {name} would be downloaded for them. Ask for that with "
            f"--images {name}."
        )
    return source, ""


def _columns(table: ScoreTable, labels: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """What the page knows of every row."""
    rows, ids = table.rows, table.ids
    sources = [source or "" for source in rows["source"].to_pylist()]
    # Most sources end in the id: what comes before it is the same for all.
    own = np.array([s.endswith(id) for s, id in zip(sources, ids, strict=True)], np.uint8)
    before = [s[: len(s) - len(id)] if o else s for s, id, o in zip(sources, ids, own, strict=True)]
    columns: dict[str, Any] = {
        "id": ids,
        "source_own": own,
        "source_before": Dictionary(before),
        "status": Dictionary(table.status),
        "error": Dictionary([error or "" for error in rows["error"].to_pylist()]),
        "method": Dictionary(rows["method"].fill_null("").to_pylist()),
        "label": Dictionary(labels),
        "score": table.scores,
        "group": groups.astype(np.int32),
        "flagged": table.flags().astype(np.uint8),
    }
    for name in ("std_error", "rank", "sketch_score", *image_facts.STORED):
        values = table.numbers(name)
        if np.isfinite(values).any():
            columns[name] = values.astype(np.float32)
    return columns


def _members(groups: np.ndarray) -> list[list[int]]:
    """The rows of the first near-identical groups."""
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    sizes = np.bincount(groups[order]) if len(order) else np.zeros(0, int)
    return [rows.tolist() for rows in np.split(order, np.cumsum(sizes)[:-1])][:_MOST_GROUPS]


def _flat(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """(dotted name, value) of every setting."""
    if not isinstance(tree, dict):
        return [(prefix, tree)]
    return [
        pair
        for key, value in tree.items()
        for pair in _flat(value, f"{prefix}.{key}" if prefix else str(key))
    ]
