"""A folder of scores in a few figures: counts, quantiles, extremes."""

import dataclasses
import heapq
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from jepa_jax.object_stores import Place, place
from jepa_jax.store.files import each
from jepa_jax.store.folder import shard_paths
from jepa_jax.store.manifest import read_manifest
from jepa_jax.store.shards import read_table

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclasses.dataclass(frozen=True)
class ScoreSummary:
    """`counts` of rows by status; score `quantiles` in nats; the `lowest` and `highest` rows.

    `methods` counts the scores by method, `flagged` those outside of a calibration's range.

    `lowest` and `highest` are (score, id), from the extreme inwards; `failures` (id, status, error)
    are the first rows without a score.

    >>> import tempfile, pyarrow.parquet as pq
    >>> from pathlib import Path
    >>> from jepa_jax.store import summarize
    >>> out = Path(tempfile.mkdtemp())
    >>> manifest = '{"settings": {"source": "photos/"}, "facts": {}}'
    >>> _ = (out / "_manifest.json").write_text(manifest)
    >>> rows = {"id": ["a", "b", "c"], "status": ["ok", "ok", "unreadable"]}
    >>> rows |= {"error": [None, None, "empty file"], "method": ["exact"] * 3}
    >>> rows |= {"jepa_score": [1.5, 2.5, None]}
    >>> pq.write_table(pa.table(rows), out / "scores-000000.parquet")
    >>> summary = summarize(out)
    >>> summary.rows, summary.failures
    (3, [('c', 'unreadable', 'empty file')])
    """

    settings: dict[str, Any]
    facts: dict[str, Any]
    counts: dict[str, int]
    methods: dict[str, int]
    flagged: int
    quantiles: dict[float, float]
    lowest: list[tuple[float, str]]
    highest: list[tuple[float, str]]
    failures: list[tuple[str, str, str]]

    @property
    def rows(self) -> int:
        """The number of rows, scored or not."""
        return sum(self.counts.values())


def summarize(out: str | Place, extremes: int = 10) -> ScoreSummary:
    """The summary of a scores folder. Memory: 8 bytes an image.

    Raises `FileNotFoundError` or `ValueError` where `out` is not a folder of scores, or a shard of
    it is damaged.

    >>> import tempfile, pyarrow.parquet as pq
    >>> from pathlib import Path
    >>> from jepa_jax.store import summarize
    >>> out = Path(tempfile.mkdtemp())
    >>> manifest = '{"settings": {"source": "photos/"}, "facts": {}}'
    >>> _ = (out / "_manifest.json").write_text(manifest)
    >>> rows = {"id": ["a", "b", "c"], "status": ["ok", "ok", "unreadable"]}
    >>> rows |= {"error": [None, None, "empty file"], "method": ["exact"] * 3}
    >>> rows |= {"jepa_score": [1.5, 2.5, None]}
    >>> pq.write_table(pa.table(rows), out / "scores-000000.parquet")
    >>> found = summarize(out, extremes=1)
    >>> found.counts, found.quantiles[0.5], found.lowest
    ({'ok': 2, 'unreadable': 1}, 2.0, [(1.5, 'a')])
    """
    manifest = read_manifest(out)
    counts: Counter[str] = Counter()
    methods: Counter[str] = Counter()
    flagged = 0
    scores: list[np.ndarray] = []
    lowest: list[tuple[float, str]] = []
    highest: list[tuple[float, str]] = []
    failures: list[tuple[str, str, str]] = []
    columns = ["id", "status", "error", "jepa_score", "method"]
    read = lambda path: read_table(path, columns, optional=["flagged"])
    for table in each(shard_paths(place(out)), read):
        counts.update(table["status"].to_pylist())
        values = table["jepa_score"].to_numpy().astype(np.float64)
        scored = np.isfinite(values)
        methods.update(table["method"].filter(pa.array(scored)).to_pylist())
        if "flagged" in table.column_names:
            flagged += sum(map(bool, table["flagged"].to_pylist()))
        scores.append(values[scored])
        for i in np.flatnonzero(~scored)[: extremes - len(failures)].tolist():
            row = table.slice(i, 1).to_pylist()[0]
            failures.append((row["id"], row["status"], row["error"] or ""))
        ids = table["id"]
        order = np.flatnonzero(scored)[np.argsort(values[scored], kind="stable")]
        lowest = heapq.nsmallest(extremes, lowest + _pairs(values, ids, order[:extremes]))
        highest = heapq.nlargest(extremes, highest + _pairs(values, ids, order[-extremes:]))
    every = np.concatenate(scores) if scores else np.zeros(0)
    levels = np.quantile(every, QUANTILES).tolist() if every.size else []
    quantiles = dict(zip(QUANTILES, levels, strict=True)) if levels else {}
    return ScoreSummary(
        settings=manifest["settings"],
        facts=manifest["facts"],
        counts=dict(counts),
        methods=dict(methods),
        flagged=flagged,
        quantiles=quantiles,
        lowest=lowest,
        highest=highest,
        failures=failures,
    )


def _pairs(
    values: np.ndarray, ids: pa.ChunkedArray, indices: np.ndarray
) -> list[tuple[float, str]]:
    """(score, id) of the rows at `indices`."""
    return [(float(values[i]), ids[i].as_py()) for i in indices.tolist()]
