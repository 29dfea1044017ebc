"""What fitting and testing on the same images makes of images with nothing to be found."""

from pathlib import Path

import jax
import numpy as np

from benchmarks.detection import protocols
from benchmarks.shared import package_images as pictures
from jepa_jax import load_encoder
from jepa_jax.evaluation import Features

GRAMS = "grams_vits14_112.npz"
SEED = 0


def pool_of(vectors: np.ndarray) -> Features:
    """Images known by their embeddings alone."""
    return Features(tuple(str(i) for i in range(len(vectors))), vectors)


def digits() -> np.ndarray:
    """The toy encoder's embeddings of the held-out digits."""
    encoder = load_encoder("embedded")
    images, _ = pictures.digit_images("held out")
    inputs = np.stack([encoder.preprocess(image.convert("RGB")) for image in images])
    return np.asarray(jax.jit(jax.vmap(encoder.embed, (None, 0)))(encoder.state, inputs))


def run(folder: Path | None) -> dict:
    """Fresh images of the same distribution as "outliers", fairly and as published."""
    embedding = digits()
    result = {
        "embedded": {
            "pool": "500 held-out MNIST digits, the embedded encoder",
            "dimensions": embedding.shape[1],
            "rows": protocols.leakage(pool_of(embedding), (64, 83, 166)),
        }
    }
    # The published evaluation's size: 500 images, K = 384; no structure to be found at all.
    normal = np.random.default_rng(SEED).standard_normal((1500, 384))
    result["normal"] = {
        "pool": "1,500 draws of a 384-dimensional standard normal distribution",
        "dimensions": 384,
        "rows": protocols.leakage(pool_of(normal), (500,), draws=5),
    }
    if folder is not None:
        with np.load(folder / GRAMS) as data:
            embedding = data["embedding"][data["group"] == "animal"]
        result["ViT-S/14"] = {
            "pool": "100 animal pictures, a real ViT-S/14 at 112 px",
            "dimensions": embedding.shape[1],
            "rows": protocols.leakage(pool_of(embedding), (50,)),
        }
    return result
