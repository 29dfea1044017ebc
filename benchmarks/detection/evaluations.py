"""All methods compared: the toy encoder on images of packages, any encoder on any sources."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.detection import protocols
from benchmarks.shared import package_images as pictures
from jepa_jax import load_encoder
from jepa_jax.data import Record
from jepa_jax.evaluation import Comparison, Features, evaluate

SEED = 0


def records(name: str, images: Sequence[Image.Image]) -> list[Record]:
    """Images as a source in memory."""
    return [
        Record(f"{name}/{i:04d}", name, lambda im=im: im.convert("RGB"))
        for i, im in enumerate(images)
    ]


def embedded(count: int) -> tuple[dict, Comparison]:
    """The toy encoder on `count` images of each kind; and the protocol on its embeddings."""
    encoder = load_encoder("embedded")
    rng = np.random.default_rng(SEED)
    training, _ = pictures.digit_images("training")
    held_out, _ = pictures.digit_images("held out")
    chosen = rng.choice(len(training), 6 * count, replace=False)
    order = rng.permutation(len(held_out))
    digits, fresh = ([held_out[i] for i in half] for half in np.array_split(order, 2))
    outliers = {"fresh digits": fresh}
    for name, make in pictures.DRAWN.items():
        outliers[name] = pictures.unlike(lambda make=make: make(rng), count)
    outliers["faces"] = [pictures.face(rng, i) for i in range(100)]
    for name, spoil in pictures.SPOILED.items():
        outliers[name] = [spoil(digit, rng) for digit in fresh[:count]]
    with tempfile.TemporaryDirectory() as folder:
        found = evaluate(
            encoder,
            reference=records("reference", [training[i] for i in chosen]),
            inliers=records("inliers", digits),
            outliers={name: records(name, images) for name, images in outliers.items()},
            out=folder,
            seed=SEED,
        )
    both = _together(found.features["inliers"], found.features["fresh digits"])
    reference = found.features["reference"]
    record = {
        "encoder": "embedded",
        "evaluation": found.record(),
        "same_distribution": protocols.same_distribution(reference, both),
        "simultaneous": protocols.simultaneous(found.comparison, "fresh digits"),
    }
    return record, found.comparison


def _together(one: Features, other: Features) -> Features:
    assert one.embedding is not None
    assert other.embedding is not None
    return Features(
        one.ids + other.ids,
        np.concatenate([one.embedding, other.embedding]),
        {n: np.concatenate([one.columns[n], other.columns[n]]) for n in one.columns},
    )


def folders(
    encoder: str, reference: str, inliers: str, outliers: list[str], out: Path, limit: int | None
) -> tuple[dict, Comparison]:
    """Any sources, by any encoder; their scores are kept in `out`."""
    found = evaluate(
        load_encoder(encoder),
        reference=reference,
        inliers=inliers,
        outliers={Path(source).name: source for source in outliers},
        out=out,
        limit=limit,
        seed=SEED,
    )
    return {"encoder": Path(encoder).name, "evaluation": found.record()}, found.comparison
