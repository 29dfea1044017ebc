"""What is in the report's page: findings, tables, and the rows that it unpacks."""

import dataclasses
from typing import Any

import numpy as np

from jepa_jax.report import conditional as neighbours
from jepa_jax.report import facts as image_facts
from jepa_jax.report import statistics, words
from jepa_jax.report.page_files import page
from jepa_jax.report.patch_map import STOPS
from jepa_jax.report.patch_maps import pack_maps
from jepa_jax.report.payload import Dictionary, pack, pack_pictures
from jepa_jax.report.perceptual_hashes import RELATIONS
from jepa_jax.report.thumbnails import sample
from jepa_jax.store.table import ScoreTable

_SCRIPTS = (
    "store",
    "page",
    "maps",
    "pictures",
    "charts",
    "detail",
    "table",
    "export",
    "paging",
    "explore",
    "main",
)
# Classes, kinds of failures and groups that are written out; the explorer has the others.
_MOST_CLASSES, _MOST_KINDS, _MOST_GROUPS = 1000, 50, 200
_STRIP = 24


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a report is made of.

    `labels`, `groups` (of `near_identical`, and its `threshold`; 0 without embeddings), what their
    members are of one of them (`copies`, of `near_duplicates.relations`; None without hashes) and
    `conditional` scores are of every row; `pictures` are thumbnails by row, most needed first, and
    `maps` the shares of these images' patches. `label_from`: how the labels were asked for.
    `lacks`: what the page must say that it lacks.
    """

    table: ScoreTable
    labels: np.ndarray
    groups: np.ndarray
    threshold: float
    copies: np.ndarray | None
    conditional: np.ndarray
    pictures: dict[int, bytes]
    maps: dict[int, np.ndarray]
    lacks: str
    label_from: str = "auto"
    title: str = ""


def render(contents: Contents) -> str:
    """The report's HTML."""
    table, labels, groups = contents.table, contents.labels, contents.groups
    pictures, conditional = contents.pictures, contents.conditional
    scores, std_errors = table.scores, table.numbers("std_error")
    scored = np.isfinite(scores)
    chunks, places = pack_pictures(pictures, len(table))
    maps, known_maps = pack_maps(contents.maps, list(pictures), len(table))
    known_maps |= {"placement": _placement(table), "colours": STOPS.tolist()}
    relations = image_facts.relations(table)
    summaries = statistics.classes(scores, labels) if len(set(labels)) > 1 else []
    alike = words.alike(contents.threshold, contents.copies is not None)
    near = f"{contents.threshold:g}" if contents.threshold else "auto"
    failed = statistics.failures(table.status, table.rows["error"].to_pylist(), scored)
    found = words.findings(
        scores,
        std_errors,
        failed=failed,
        classes=summaries,
        relations=relations,
        repeated=statistics.repeated_scores(scores),
        groups=groups,
        near=near,
        alike=alike,
        flagged=table.flags(),
        conditional=conditional,
    )
    command = ["jepa-jax", "select", str(table.folder)]
    if contents.label_from != "auto":
        command += ["--labels", contents.label_from]
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
        "maps": known_maps,
        "alone": _lowest(conditional),
        "neighbours": neighbours.K,
        "groups": _members(groups),
    }
    return page(
        "report.html",
        _SCRIPTS,
        title=contents.title or f"JEPA-SCORE of {table.settings['source']}",
        source=table.settings.get("source", ""),
        rows=len(table),
        scored=int(scored.sum()),
        pictures=len(pictures),
        lacks=contents.lacks,
        unfinished=table.unfinished,
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
        alike=alike,
        near=near,
        conditionals=int(np.isfinite(conditional).sum()),
        few=neighbours.FEW,
        neighbours=neighbours.K,
        most_references=neighbours.MOST_REFERENCES,
        known_relations=contents.copies is not None,
        sentences=words.describe_run(table.settings, table.facts),
        manifest=_flat({"settings": table.settings, "facts": table.facts}),
        facts=facts,
        packed=pack(_columns(contents) | places | maps),
        chunks=chunks,
        maps=known_maps,
    )


def _columns(contents: Contents) -> dict[str, Any]:
    """What the page knows of every row."""
    table, labels, groups = contents.table, contents.labels, contents.groups
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
    if contents.copies is not None:
        columns["relation"] = Dictionary([RELATIONS[code] for code in contents.copies])
    for name in ("std_error", "rank", "sketch_score", *image_facts.STORED):
        values = table.numbers(name)
        if np.isfinite(values).any():
            columns[name] = values.astype(np.float32)
    if np.isfinite(contents.conditional).any():
        columns["conditional"] = contents.conditional.astype(np.float32)
    return columns


def _placement(table: ScoreTable) -> dict[str, Any] | None:
    """How inputs lie in their images, where the manifest says it and a picture can show it."""
    found = table.facts.get("placement")
    numbers = ("short_edge", "side")
    if not isinstance(found, dict) or not all(type(found.get(n)) is int for n in numbers):
        return None
    edge, side = (found[name] for name in numbers)
    known = {"none": True, "centre": edge > 0 and side > 0, "remainder": edge > 0 and side > 0}
    shown = known.get(str(found.get("cut")), False)
    return {"cut": found["cut"], "short_edge": edge, "side": side} if shown else None


def _lowest(conditional: np.ndarray) -> list[int]:
    """The rows that stand lowest among images like them."""
    order = np.argsort(conditional, kind="stable")
    return order[np.isfinite(conditional[order])][:_STRIP].tolist()


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
