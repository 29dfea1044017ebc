"""Counts, quantiles and extremes over several"""

import numpy as np
import pytest

from jepa_jax.report import summarize
from jepa_jax.store.folder import MANIFEST, shard_path
from jepa_jax.store.manifest import check_manifest
from jepa_jax.store.schema import schema
from jepa_jax.store.shards import write_rows


@pytest.fixture
def folder(tmp_path):
    scores = np.random.default_rng(0).permutation(100).astype(float).tolist()
    rows = [
        {"id": f"{i}", "source": "s", "status": "ok", "jepa_score": s, "method": "exact"}
        for i, s in enumerate(scores)
    ]
    for i in (3, 50):
        rows[i] |= {"status": "unreadable", "error": f"bad {i}", "jepa_score": None}
    check_manifest(tmp_path, {"views": 1}, {"device": "cpu"})
    for i in range(3):
        part = rows[40 * i : 40 * (i + 1)]
        write_rows(shard_path(tmp_path, i), part, schema(()))
    kept = {row["jepa_score"]: row["id"] for row in rows if row["jepa_score"] is not None}
    return tmp_path, kept


def test_summary_over_shards(folder):
    out, kept = folder
    summary = summarize(out, extremes=4)
    assert summary.counts == {"ok": 98, "unreadable": 2}
    assert summary.rows == 100
    assert summary.settings == {"views": 1}
    ordered = sorted(kept)
    assert summary.lowest == [(s, kept[s]) for s in ordered[:4]]
    assert summary.highest == [(s, kept[s]) for s in ordered[:-5:-1]]
    assert summary.failures == [("3", "unreadable", "bad 3"), ("50", "unreadable", "bad 50")]
    assert summary.quantiles[0.5] == np.median(ordered)
    assert (summary.quantiles[0.0], summary.quantiles[1.0]) == (ordered[0], ordered[-1])


def test_a_folder_without_a_manifest(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a folder of scores"):
        summarize(tmp_path)
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(ValueError, match="is not a manifest of scores"):
        summarize(tmp_path)
