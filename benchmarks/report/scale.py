"""Time, memory and size of `report` and `select` on many rows, each in a process of its own."""

import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.report import browser
from benchmarks.report.synthetic_folder import CLASSES, K, make_rows
from benchmarks.shared.processes import jepa_jax, measure

CORES = 2


def measured(*arguments: str) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory (MB) of a `jepa-jax` command on `CORES` cores."""
    found = measure(jepa_jax(*arguments), CORES)
    return {
        "seconds": round(found["seconds"], 1),
        "cpu_seconds": round(found["cpu_seconds"], 1),
        "peak_megabytes": round(found["peak_megabytes"]),
    }


def run(rows: int) -> dict:
    """Of scores without embeddings, and with."""
    result: dict = {"rows": rows, "classes": CLASSES, "thumbnails": 2000}
    for embeddings in (False, True):
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            scores = make_rows(rows, work, embeddings, np.random.default_rng(0))
            page = work / "report.html"
            key = f"embeddings of {K}" if embeddings else "no embeddings"
            found = result[key] = {"report": measured("report", str(scores), "--out", str(page))}
            found["report"]["file_megabytes"] = round(page.stat().st_size / 1e6, 1)
            found["browser"] = browser.opened(page) if browser.there() else None
            listed = str(work / "list.parquet")
            per_class = ("select", str(scores), "--bottom", "1%", "--per-class", "--out", listed)
            found["select --bottom 1% --per-class"] = measured(*per_class)
            if embeddings:
                command = ("select", str(scores), "--near-identical", "auto", "--out", listed)
                found["select --near-identical auto"] = measured(*command)
            print(json.dumps({key: found}, indent=2), flush=True)
    return result
