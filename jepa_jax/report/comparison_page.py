"""The comparison of two runs: one HTML file that needs nothing else."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jepa_jax.object_stores import Place
from jepa_jax.report import words
from jepa_jax.report.labels import read_labels
from jepa_jax.report.page_files import check_path, page, write_page
from jepa_jax.report.payload import Dictionary, pack, pack_pictures
from jepa_jax.report.pictures import Where, find_pictures
from jepa_jax.report.run_comparison import Comparison, compare
from jepa_jax.report.statistics import relation
from jepa_jax.store.manifest import differing_settings, incomparable_settings
from jepa_jax.store.table import ScoreTable, read_scores, read_stamps

_SCRIPTS = ("store", "page", "pictures", "charts", "table", "export", "paging", "compare")
# Pictures of those that moved most, to either side, and of those in one alone.
_MOVED, _ALONE = 40, 20
_MOST_CLASSES, _FEWEST_OF_A_CLASS = 30, 3
# Of the facts of a manifest those that say something beside another's.
_FACTS = ("encoder", "device", "version", "started")


@dataclasses.dataclass(frozen=True)
class Compared:
    """A comparison that was written: its size in bytes, images with a score in both, pictures, what
    it lacks, and which runs are `unfinished`, in words."""

    path: Path
    bytes: int
    both: int
    pictures: int
    lacks: str
    unfinished: tuple[str, ...] = ()


def write_comparison(
    first: str | Place,
    second: str | Place,
    path: str | Path,
    *,
    where: Where = Where(),
    label_from: str = "auto",
    title: str = "",
    on_start: Callable[[int, int], object] | None = None,
    on_row: Callable[[object], None] | None = None,
) -> Compared:
    """Writes the comparison of two scores folders to `path`, whole or not at all.

    Images are matched by id, and compared by their ranks among those that both scored. `where` the
    images are, of both; `label_from`: see `read_labels`. Raises as `write_report`, and `ValueError`
    where no image is in both.
    """
    path = Path(path)
    check_path(path)
    tables = read_scores(first), read_scores(second)
    found = compare(*tables)
    a, b = tables
    source = where.images or a.settings.get("source", "")
    options = where.columns(a.settings.get("source_options", {}))
    # A column of the source has a label for the rows of A alone.
    of_source = label_from.startswith("column:")
    labels = read_labels(a.ids if of_source else found.ids, label_from, source, options)
    labels = np.r_[labels, np.full(len(found.ids) - len(labels), "", object)]
    other = _other_files(found, a, b)
    wanted = _rows_to_show(found)
    pictures, lacks = {}, ""
    for rows, table, shift in ((found.first, a, 0), (found.second, b, len(found.ids))):
        here = wanted[(rows[wanted] >= 0) & (other[wanted] | (shift == 0))]
        if not len(here):
            continue
        made, lack = find_pictures(
            table, where, lambda r=rows[here]: r, on_start=on_start, on_row=on_row
        )
        places = {int(rows[at]): shift + int(at) for at in here}
        pictures |= {places[row]: picture for row, picture in made.items()}
        lacks = lacks or lack
    html = _render(found, a, b, labels, pictures, lacks, title)
    runs = [f"{t.folder} is {t.unfinished}" for t in tables if t.unfinished]
    return Compared(path, write_page(path, html), found.both, len(pictures), lacks, tuple(runs))


def _other_files(found: Comparison, a: ScoreTable, b: ScoreTable) -> np.ndarray:
    """The images whose file in B is another one than in A, or that are in B alone."""
    sources = [table.rows["source"].to_pylist() for table in (a, b)]
    stamps = [read_stamps(table.folder) for table in (a, b)]
    other = found.first < 0
    for at in np.flatnonzero((found.first >= 0) & (found.second >= 0)).tolist():
        i, j = found.first[at], found.second[at]
        same = stamps[0][i] == stamps[1][j] or None in (stamps[0][i], stamps[1][j])
        other[at] = sources[0][i] != sources[1][j] or not same
    return other


def _ends(found: Comparison, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The images that fell most, and those that rose most."""
    change = found.change
    order = np.argsort(change, kind="stable")[: found.both]
    return order[change[order] < 0][:count], order[::-1][change[order[::-1]] > 0][:count]


def _rows_to_show(found: Comparison) -> np.ndarray:
    alone = [np.flatnonzero(rows < 0)[:_ALONE] for rows in (found.second, found.first)]
    return np.concatenate([*_ends(found, _MOVED), *alone])


def _render(
    found: Comparison,
    a: ScoreTable,
    b: ScoreTable,
    labels: np.ndarray,
    pictures: dict[int, bytes],
    lacks: str,
    title: str,
) -> str:
    chunks, places = pack_pictures(pictures, 2 * len(found.ids))
    ranks = found.first_rank, found.second_rank
    related = relation("rank", "Rank in A", "percent", *ranks, logarithmic=False)
    fell, rose = (rows.tolist() for rows in _ends(found, _MOVED))
    classes = _classes(found, labels)
    return page(
        "compare.html",
        _SCRIPTS,
        title=title or "Two runs compared",
        first=_run(a),
        second=_run(b),
        lacks=lacks,
        sentences=_sentences(found, a, b),
        overlaps=found.overlaps,
        both=found.both,
        relation=related,
        classes=classes[:_MOST_CLASSES],
        more_classes=len(classes[_MOST_CLASSES:]),
        differing=_differing(a, b),
        alone=_alone(found, a, b),
        facts={
            "relation": None if related is None else dataclasses.asdict(related),
            "fell": fell,
            "rose": rose,
        },
        packed=pack(_columns(found, a, b, labels) | places),
        chunks=chunks,
    )


def _columns(found: Comparison, a: ScoreTable, b: ScoreTable, labels: np.ndarray) -> dict[str, Any]:
    def of(table: ScoreTable, rows: np.ndarray) -> tuple[np.ndarray, Dictionary]:
        status = np.where(rows >= 0, table.status[rows], "not there")
        return np.where(rows >= 0, table.scores[rows], np.nan), Dictionary(status)

    (scores, first_status), (other, second_status) = of(a, found.first), of(b, found.second)
    return {
        "id": found.ids,
        "label": Dictionary(labels),
        "score": scores,
        "other": other,
        "first_rank": found.first_rank.astype(np.float32),
        "second_rank": found.second_rank.astype(np.float32),
        "change": found.change.astype(np.float32),
        "first_status": first_status,
        "second_status": second_status,
        "there": ((found.second < 0) + 2 * (found.first < 0)).astype(np.uint8),
    }


def _run(table: ScoreTable) -> dict[str, Any]:
    return {
        "folder": str(table.folder),
        "rows": len(table),
        "unfinished": table.unfinished,
        "source": table.settings.get("source", ""),
        "encoder": table.facts.get("encoder", "an encoder not named"),
        "started": str(table.facts.get("started", ""))[:10],
    }


def _sentences(found: Comparison, a: ScoreTable, b: ScoreTable) -> list[str]:
    """What came out, the most important first."""
    lines = [f"{words.number(found.both, 'image')} have a score in both runs."]
    if found.correlation is not None:
        c = found.correlation
        lines.append(
            f"Spearman's correlation of their ranks is {c.value:+.3f} (95 % interval {c.low:+.3f} "
            f"to {c.high:+.3f}): of two images, both runs put the same one first in "
            f"{100 * found.same:.1f} % of pairs (50 % is no relation)."
        )
        change = np.abs(found.change[np.isfinite(found.change)])
        half, most = np.quantile(change, [0.5, 1])
        lines.append(
            f"Half of the images moved by less than {half:.1f} % of the ranking, the farthest by "
            f"{most:.1f} %."
        )
    shifting = incomparable_settings(a.settings, b.settings)
    if shifting:
        names = ", ".join(shifting)
        lines.append(
            f"The runs differ in what shifts scores ({names}): their nats have no common scale, "
            "and ranks alone are compared."
        )
    elif found.both:
        rows = np.isfinite(found.change)
        change = b.scores[found.second[rows]] - a.scores[found.first[rows]]
        low, middle, high = np.quantile(change, [0.05, 0.5, 0.95])
        lines.append(
            "Both runs were made with the same settings, so their nats may be compared: from A to "
            f"B the median image changed by {middle:+.2f} nats, nine in ten by {low:+.2f} to "
            f"{high:+.2f}."
        )
    return lines


def _classes(found: Comparison, labels: np.ndarray) -> list[dict[str, Any]]:
    """Classes with images in both, from the largest median change of rank."""
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    if len(names) < 2:
        return []
    both = np.flatnonzero(np.isfinite(found.change))
    order = both[np.argsort(codes[both], kind="stable")]
    counts = np.bincount(codes[order], minlength=len(names))
    summaries = [
        {
            "label": str(names[code]),
            "count": len(rows),
            "first": float(np.median(found.first_rank[rows])),
            "second": float(np.median(found.second_rank[rows])),
            "change": float(np.median(found.change[rows])),
        }
        for code, rows in enumerate(np.split(order, np.cumsum(counts)[:-1]))
        if len(rows) >= _FEWEST_OF_A_CLASS
    ]
    return sorted(summaries, key=lambda c: -abs(c["change"]))


def _differing(a: ScoreTable, b: ScoreTable) -> list[dict[str, Any]]:
    """Entries of the manifests that differ, those that shift scores first."""
    shifting = incomparable_settings(a.settings, b.settings)
    settings = differing_settings(a.settings, b.settings)
    known = [{name: table.facts.get(name) for name in _FACTS} for table in (a, b)]
    entries = [(name, values, "shifts scores") for name, values in shifting.items()]
    entries += [
        (name, values, "shifts no score")
        for name, values in settings.items()
        if name not in shifting
    ]
    entries += [(name, v, "recorded") for name, v in differing_settings(*known).items()]
    said = lambda value: "not said" if value is None else str(value)
    return [
        {"name": name, "first": said(one), "second": said(other), "meaning": meaning}
        for name, (one, other), meaning in entries
    ]


def _alone(found: Comparison, a: ScoreTable, b: ScoreTable) -> list[dict[str, Any]]:
    """How many images are in one run alone, or have a score in one alone."""
    there = (found.first >= 0) & (found.second >= 0)
    scored = [
        np.where(rows >= 0, np.isfinite(table.scores[rows]), False)
        for rows, table in ((found.first, a), (found.second, b))
    ]
    kinds = (
        ("first", "In A alone", found.second < 0),
        ("second", "In B alone", found.first < 0),
        ("first-scored", "In both, with a score in A alone", there & scored[0] & ~scored[1]),
        ("second-scored", "In both, with a score in B alone", there & scored[1] & ~scored[0]),
    )
    return [
        {
            "show": show,
            "title": title,
            "count": int(rows.sum()),
            "example": found.ids[int(np.flatnonzero(rows)[0])] if rows.any() else "",
        }
        for show, title, rows in kinds
    ]
