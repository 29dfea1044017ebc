"""Time, memory and size of `report` and `select` at 100,000 images.

    python benchmarks/report.py [--rows 100000] [--out FILE.json]

Scores are drawn at random; the images are real: 100,000 links to JPEG files cut at random out of
the photographs in scikit-image and scikit-learn, in 200 classes, some of them broken. Each command
runs in a process of its own, as a user would run it, on two cores where there are more. With a
Chromium and its driver on the PATH, the time until the page is filled is measured, too.

Measured (results/report.json): a report takes 19 s, 24 with embeddings of 384 to compare, at most
.8 GB and 12 MB of disk; `select` 3 s and .4 GB, or 10 s and .7 GB with --near-identical.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from jepa_jax.scoring import shards

CLASSES = 200
POOL = 300
K = 384
SETTINGS = {
    "version": "0",
    "encoder": {"fingerprint": "none", "embedding": "cls", "image_size": 224},
    "estimator": {"method": "sketch", "cotangents": 32},
    "precision": "highest",
    "views": 1,
    "seed": 0,
    "store": ["embedding", "image"],
    "shard_size": 1024,
}


def make_pool(folder: Path, rng: np.random.Generator) -> list[Path]:
    """JPEG files of 400 to 1200 pixels, cut out of real photographs."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    names = ("astronaut", "chelsea", "coffee", "rocket", "camera", "brick", "grass", "gravel")
    photos = [getattr(skimage.data, name)() for name in names] + load_sample_images().images
    folder.mkdir()
    paths = []
    for i in range(POOL):
        photo = Image.fromarray(photos[i % len(photos)]).convert("RGB")
        share = rng.uniform(0.5, 1, 2)
        width, height = (int(s * n) for s, n in zip(share, photo.size, strict=True))
        left, top = rng.integers(photo.width - width + 1), rng.integers(photo.height - height + 1)
        cut = photo.crop((left, top, left + width, top + height))
        scale = rng.uniform(400, 1200) / max(width, height)
        cut = cut.resize((round(scale * width), round(scale * height)))
        paths.append(folder / f"{i}.jpg")
        cut.save(paths[-1], quality=int(rng.integers(60, 96)))
    return paths


def make_rows(rows: int, work: Path, embeddings: bool, rng: np.random.Generator) -> Path:
    """A scores folder and the images that it names."""
    pool = make_pool(work / "pool", rng)
    sizes = [Image.open(path).size for path in pool]
    labels = rng.integers(CLASSES, size=rows)
    which = rng.integers(POOL, size=rows)
    scores = rng.normal(500, 60, rows) + 30 * rng.normal(size=CLASSES)[labels]
    failed = rng.random(rows) < 0.002
    centres = rng.normal(size=(CLASSES, K)).astype(np.float32)
    decay = np.linspace(1.5, 0.1, K, dtype=np.float32)
    ids = [f"class-{label:03d}/{i:06d}.jpg" for i, label in enumerate(labels)]
    for label in range(CLASSES):
        (work / "images" / f"class-{label:03d}").mkdir(parents=True)
    for id, pick in zip(ids, which, strict=True):
        os.link(pool[pick], work / "images" / id)
    out = work / "scores"
    out.mkdir()
    store = ("image", "calibrated") + (("embedding",) if embeddings else ())
    shards.check_manifest(
        out, SETTINGS | {"source": str(work / "images")}, {"encoder": "none", "device": "none"}
    )
    # A folder source lists its files by name, class by class.
    order = np.array(sorted(range(rows), key=ids.__getitem__))
    for index in range(0, rows, SETTINGS["shard_size"]):
        part = order[index : index + SETTINGS["shard_size"]]
        bad = failed[part]
        columns = {
            "id": [ids[i] for i in part],
            "source": [str(work / "images" / ids[i]) for i in part],
            "status": np.where(bad, "unreadable", "ok").tolist(),
            "error": ["UnreadableImage: empty file" if b else None for b in bad],
            "jepa_score": [None if b else scores[i] for i, b in zip(part, bad, strict=True)],
            "std_error": [None if b else 8.0 for b in bad],
            "rank": [None if b else K - 2 for b in bad],
            "method": ["sketch"] * len(part),
            "width": [sizes[which[i]][0] for i in part],
            "height": [sizes[which[i]][1] for i in part],
            "bits_per_pixel": rng.uniform(0.2, 4, len(part)).astype(np.float32),
            "flagged": rng.random(len(part)) < 0.01,
        }
        if embeddings:
            vectors = centres[labels[part]] + decay * rng.normal(size=(len(part), K))
            vectors[: len(part) // 100] = vectors[-(len(part) // 100) :]  # 1 % are copies.
            columns["embedding"] = list(vectors.astype(np.float32))
        table = pa.Table.from_pydict(columns, schema=shards.schema(store))
        path = shards.shard_path(out, index // SETTINGS["shard_size"])
        pq.write_table(table, path, compression="zstd")
    return out


def measure(*command: str) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory (MB) of a command in a process of its own."""
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        program = "from jepa_jax.cli import app; app()"
        os.execv(sys.executable, [sys.executable, "-c", program, *command])
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with {status}")
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_megabytes": round(usage.ru_maxrss / 1024),
    }


def open_in_browser(path: Path) -> dict[str, float] | None:
    """Seconds until the page is parsed, and until it is filled; None without a Chromium."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        return None
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, Service(driver))
    try:
        began = time.perf_counter()
        browser.get(path.as_uri())
        loaded = time.perf_counter() - began
        WebDriverWait(browser, 60, 0.02).until(
            lambda b: b.execute_script("return document.documentElement.dataset.ready")
        )
        filled = time.perf_counter() - began
        paint = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
        painted = browser.execute_script(paint) / 1000
    finally:
        browser.quit()
    return {
        "first_paint_seconds": round(painted, 2),
        "loaded_seconds": round(loaded, 2),
        "filled_seconds": round(filled, 2),
    }


def main() -> None:
    """The command line of this script; see its docstring."""
    parser = argparse.ArgumentParser(description="Report and select at 100,000 images.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    result: dict = {"rows": args.rows, "classes": CLASSES, "thumbnails": 2000}
    for embeddings in (False, True):
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            scores = make_rows(args.rows, work, embeddings, np.random.default_rng(0))
            page = work / "report.html"
            key = f"embeddings of {K}" if embeddings else "no embeddings"
            found = result[key] = {"report": measure("report", str(scores), "--out", str(page))}
            found["report"]["file_megabytes"] = round(page.stat().st_size / 1e6, 1)
            found["browser"] = open_in_browser(page)
            listed = str(work / "list.parquet")
            per_class = ("select", str(scores), "--bottom", "1%", "--per-class", "--out", listed)
            found["select --bottom 1% --per-class"] = measure(*per_class)
            if embeddings:
                command = ("select", str(scores), "--near-identical", "auto", "--out", listed)
                found["select --near-identical auto"] = measure(*command)
            print(json.dumps({key: found}, indent=2), flush=True)
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
