"""A scores folder of any size: scores at random, images cut out of real photographs."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from jepa_jax.store.folder import shard_path
from jepa_jax.store.manifest import check_manifest
from jepa_jax.store.schema import schema

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
    settings = SETTINGS | {"source": str(work / "images")}
    check_manifest(out, settings, {"encoder": "none", "device": "none"})
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
            "brightness": rng.uniform(0, 255, len(part)).astype(np.float32),
            "contrast": rng.uniform(0, 100, len(part)).astype(np.float32),
            "sharpness": np.exp(rng.normal(6, 2, len(part))).astype(np.float32),
            "flagged": rng.random(len(part)) < 0.01,
        }
        if embeddings:
            vectors = centres[labels[part]] + decay * rng.normal(size=(len(part), K))
            vectors[: len(part) // 100] = vectors[-(len(part) // 100) :]  # 1 % are copies.
            columns["embedding"] = list(vectors.astype(np.float32))
        fields = schema(store)
        unknown = {name: [None] * len(part) for name in fields.names if name not in columns}
        table = pa.Table.from_pydict(columns | unknown, schema=fields)
        path = shard_path(out, index // SETTINGS["shard_size"])
        pq.write_table(table, path, compression="zstd")
    return out
