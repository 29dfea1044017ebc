"""Images of a folder, read and preprocessed in threads."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.shared.tables import table
from jepa_jax import load_encoder
from jepa_jax.data import open_source
from jepa_jax.scoring.profiling import Profile
from jepa_jax.scoring.rows import prepare
from jepa_jax.scoring.stages import PREPROCESSING, READING

SIZE = (4032, 3024)  # Of a telephone's camera, 12 megapixels.
REPEATS = 5
WANTED = 500  # Images a second.


def run(images: int, side: int, threads: list[int]) -> dict:
    """The figures; five rounds by each number of threads, in turn."""
    encoder = load_encoder("embedded", image_size=side)
    with tempfile.TemporaryDirectory() as folder:
        size = make(Path(folder), images)
        records = list(open_source(folder))
        read = lambda record: prepare(record, encoder, views=1, seed=0)
        read(records[0])  # What is imported on the way.
        rates: dict[int, list[float]] = {n: [] for n in threads}
        cores: dict[str, list[float]] = {READING: [], PREPROCESSING: []}
        for _ in range(REPEATS):
            for n in threads:
                with ThreadPoolExecutor(n) as pool, Profile(folder, trace=False) as profile:
                    profile.begin()
                    began = time.monotonic()
                    done = list(pool.map(read, records))
                    rates[n].append(len(done) / (time.monotonic() - began))
                if n == 1:
                    for stage, found in cores.items():
                        found.append(1e3 * profile.cpu[stage] / profile.calls[stage])
    assert all(item.error is None for item in done)
    return {
        "images": images,
        "side": side,
        "bytes": size / images,
        "images_a_second": {n: float(np.median(r)) for n, r in rates.items()},
        "core_ms": {stage: float(np.median(ms)) for stage, ms in cores.items()},
    }


def make(folder: Path, images: int) -> int:
    """Writes JPEGs of camera size; their bytes."""
    import skimage.data

    rng = np.random.default_rng(0)
    names = ("astronaut", "chelsea", "coffee", "rocket")
    for i in range(images):
        whole = Image.fromarray(getattr(skimage.data, names[i % len(names)])()).convert("RGB")
        pixels = np.asarray(whole.resize(SIZE, Image.Resampling.BICUBIC), np.int16)
        noise = rng.integers(-12, 13, (*pixels.shape[:2], 1), dtype=np.int16)
        noisy = Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
        noisy.save(folder / f"{i:03d}.jpg", quality=88)
    return sum(path.stat().st_size for path in folder.glob("*.jpg"))


def page(found: dict) -> str:
    """The table, and what it means for an accelerator."""
    each = sum(found["core_ms"].values())
    rows = [[n, f"{rate:.1f}"] for n, rate in found["images_a_second"].items()]
    parts = ", ".join(f"{name} {ms:.0f}" for name, ms in found["core_ms"].items())
    return "\n".join(
        [
            f"# Reading {found['images']} JPEGs of {SIZE[0]} x {SIZE[1]} pixels",
            "",
            f"{found['bytes'] / 1e6:.1f} MB each, to inputs of {found['side']} pixels: {each:.0f} "
            f"ms of a core an image ({parts}). {WANTED} images a second take "
            f"{WANTED * each / 1e3:.0f} cores.",
            "",
            table(["threads", "images/s"], rows),
        ]
    )
