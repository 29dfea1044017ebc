"""CPU seconds of pages that `jepa-jax browse` serves of many rows, in one process."""

import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report.synthetic_folder import SETTINGS
from jepa_jax.store.folder import shard_path
from jepa_jax.store.manifest import check_manifest
from jepa_jax.store.schema import schema

# What a user asks for, by the address that asks for it.
PAGES = {
    "the first page, by score": "",
    "by brightness, highest first": "?sort=-brightness",
    "a text of the name": "?text=777",
    "the next page of it": "?text=777&page=2",
    "without a score": "?show=failed",
    "a range of brightness, by name": "?of=brightness&low=100&high=110&sort=id",
    "page 9,000 by score": "?page=9000",
    "page 5,000 in the source's order": "?sort=order&page=5000",
    "an image": "image/500/5",
    "all rows as CSV": "selected.csv",
}


def make_rows(rows: int, out: Path, rng: np.random.Generator) -> Path:
    """A scores folder of so many rows without images, their numbers at random."""
    out.mkdir()
    fields = schema(("image", "calibrated"))
    check_manifest(out, SETTINGS | {"source": "/images"}, {"encoder": "none", "device": "none"})
    for index, start in enumerate(range(0, rows, SETTINGS["shard_size"])):
        count = min(SETTINGS["shard_size"], rows - start)
        bad = rng.random(count) < 0.002
        ids = [f"class-{i % 200:03d}/{i:07d}.jpg" for i in range(start, start + count)]
        columns = {
            "id": ids,
            "source": [f"/images/{id}" for id in ids],
            "status": np.where(bad, "unreadable", "ok").tolist(),
            "error": ["UnreadableImage: empty file" if b else None for b in bad],
            "jepa_score": pa.array(rng.normal(500, 60, count), mask=bad),
            "std_error": pa.array(rng.uniform(6, 9, count), mask=bad),
            "rank": pa.array(np.full(count, 382, np.int32), mask=bad),
            "method": ["sketch"] * count,
            "stamp": [f"{i}:1700000000000000000" for i in range(start, start + count)],
            "width": rng.integers(200, 2000, count).astype(np.int32),
            "height": rng.integers(200, 2000, count).astype(np.int32),
            "flagged": rng.random(count) < 0.01,
        }
        for name in ("bits_per_pixel", "brightness", "contrast", "sharpness"):
            columns[name] = rng.uniform(0, 255, count).astype(np.float32)
        unknown = {name: [None] * count for name in fields.names if name not in columns}
        table = pa.Table.from_pydict(columns | unknown, schema=fields)
        pq.write_table(table, shard_path(out, index), compression="zstd")
    return out


def run(rows: int) -> dict:
    """Each page once, as by a user who asks for it first; the numbers of all rows before."""
    with tempfile.TemporaryDirectory() as name:
        scores = make_rows(rows, Path(name) / "scores", np.random.default_rng(0))
        return {"rows": rows, "shards": len(list(scores.glob("*.parquet"))), **_pages(scores)}


def _pages(scores: Path) -> dict:
    from starlette.testclient import TestClient

    from jepa_jax.browse.server import application
    from jepa_jax.browse.table_rows import Rows
    from jepa_jax.report.pictures import Where

    def seconds(work) -> float:
        began = time.process_time()
        work()
        return round(time.process_time() - began, 2)

    opened = Rows(scores)
    client = TestClient(application(opened, Where("")), base_url="http://127.0.0.1")
    found = {"start_cpu_seconds": seconds(opened.overview), "page_cpu_seconds": {}}

    def ask(query: str) -> None:
        with client.stream("GET", f"/{query}") as answer:
            assert answer.status_code == 200, query
            for _ in answer.iter_bytes():
                pass

    for words, query in PAGES.items():
        found["page_cpu_seconds"][words] = seconds(lambda query=query: ask(query))
        print(json.dumps({words: found["page_cpu_seconds"][words]}), flush=True)
        if words == "an image":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found["peak_megabytes_of_pages"] = round(peak)
    opened.close()
    return found
