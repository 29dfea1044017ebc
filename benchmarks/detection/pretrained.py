"""A pretrained encoder: cut-out animals against other things, and against themselves spoiled."""

import dataclasses
import functools
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.detection import contaminated
from benchmarks.detection.corruptions import STRENGTHS, spoiled
from benchmarks.pretrained import images, recording
from benchmarks.pretrained.seconds import calibration_of
from benchmarks.shared import package_images as pictures
from jepa_jax import load_encoder
from jepa_jax.data import Record, open_source
from jepa_jax.evaluation import Comparison, Features, compare, default_detectors, evaluate

SIDE = 112
COTANGENTS = 24
SEED = 0
EXACT = "jepa_score:exact"


@dataclasses.dataclass(frozen=True)
class Given:
    """Where the images are: Debian's stamps, what `benchmarks.pretrained record` wrote of them,
    Debian's Fashion-MNIST and the package elpv_dataset; the last two may be missing."""

    stamps: Path
    jacobians: Path
    fashion: Path | None = None
    cells: Path | None = None


def run(encoder: str, given: Given, out: Path, count: int) -> tuple[dict, Comparison]:
    """Half of the recorded animals as reference, half as inliers; `count` of them are spoiled.

    Scores are a sketch's, calibrated on the reference, kept in `out`; and the recorded exact ones.
    Then solar cells that work against those that do not.
    """
    loaded = load_encoder(encoder, image_size=SIDE)
    found = recording.read(given.jacobians)
    recording.check(loaded, given.jacobians, "highest")
    exact = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    every = [r for r in images.records(given.stamps, 10**6, SIDE) if r.id in exact]
    animals = [record for record in every if record.source == images.INSIDE]
    reference, inliers = animals[::2], animals[1::2]
    outliers = _groups(every) | _packaged()
    if given.fashion is not None:
        outliers["clothes (Fashion-MNIST)"] = _fashion(given.fashion)
    outliers |= _spoiled(inliers[:count])
    fitted = np.isin(found.ids, [record.id for record in reference])
    sketch = calibration_of(_chosen(found, fitted), [COTANGENTS])[COTANGENTS]
    judged = functools.partial(evaluate, loaded, estimators={"sketch": sketch}, seed=SEED)
    evaluated = judged(reference=reference, inliers=inliers, outliers=outliers, out=out / "animals")
    known = _with_exact(evaluated.features, exact)
    both = default_detectors(("jepa_score", EXACT), neighbours=(5,), flow=False)
    others = {n: f for n, f in known.items() if n not in ("reference", "inliers")}
    beside = compare(known["reference"], known["inliers"], others, detectors=both, seed=SEED)
    of_exact = default_detectors((EXACT,), neighbours=(5,), flow=False)
    clean = contaminated.joined([known["reference"], known["inliers"]])
    record = {
        "encoder": Path(encoder).name,
        "image_size": SIDE,
        "cotangents": COTANGENTS,
        "calibrated_on": int(fitted.sum()),
        "strengths": {kind: list(each) for kind, each in STRENGTHS.items()},
        "evaluation": evaluated.record(),
        "exact": beside.record(),
        "contaminated": contaminated.run(clean, others, of_exact, seed=SEED),
    }
    if given.cells is not None:
        working, others = _cells(given.cells, count)
        of_cells = judged(
            reference=working[::2],
            inliers=working[1::2],
            outliers={"defective": others},
            out=out / "cells",
        )
        record["cells"] = of_cells.record()
    return record, evaluated.comparison


def _groups(every: Sequence[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in every:
        if record.source != images.INSIDE:
            groups.setdefault(record.source, []).append(record)
    return groups


def _packaged() -> dict[str, list[Record]]:
    rng = np.random.default_rng(SEED)
    digits, _ = pictures.digit_images("held out")
    made = {"digits": digits[:40], "faces": [pictures.face(rng, i) for i in range(40)]}
    return {name: _records(name, [im.convert("RGB") for im in each]) for name, each in made.items()}


def _fashion(folder: Path) -> list[Record]:
    """40 of Fashion-MNIST's tested images."""
    stored = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(stored, np.uint8, offset=16).reshape(-1, 28, 28)
    return _records("clothes", [Image.fromarray(p).convert("RGB") for p in pixels[:40]])


def _cells(folder: Path, count: int) -> tuple[list[Record], list[Record]]:
    """Photographs by electroluminescence of solar cells (arXiv 1807.02894): `2 * count` of those
    that surely work, `count` of those that surely do not, monocrystalline ones."""
    table = np.loadtxt(folder / "data" / "labels.csv", dtype=str)
    here = {r.id: r for r in open_source(folder / "data" / "images")}
    chosen = np.random.default_rng(SEED).permutation(table[table[:, 2] == "mono"])
    each = [
        [here[Path(path).name] for path, share, _ in chosen if float(share) == wanted]
        for wanted in (0, 1)
    ]
    return each[0][: 2 * count], each[1][:count]


def _records(name: str, drawn: Sequence[Image.Image]) -> list[Record]:
    return [Record(f"{name}/{i:03d}", name, lambda im=im: im) for i, im in enumerate(drawn)]


def _spoiled(inliers: Sequence[Record]) -> dict[str, list[Record]]:
    """By kind and strength, from the weakest on."""

    def load(record: Record, i: int, kind: str, strength: float) -> Image.Image:
        image = record.load().convert("RGB")
        scale = 128 / min(image.size)
        small = image.resize([round(scale * side) for side in image.size], Image.Resampling.BICUBIC)
        return spoiled(small, kind, strength, i)

    return {
        f"{kind} {strength:g}": [
            Record(
                f"{kind} {strength:g}/{r.id}", kind, functools.partial(load, r, i, kind, strength)
            )
            for i, r in enumerate(inliers)
        ]
        for kind, strengths in STRENGTHS.items()
        for strength in strengths
    }


def _chosen(found: recording.Recorded, here: np.ndarray) -> recording.Recorded:
    arrays: dict[str, Any] = found._asdict()
    covariates = {name: block[here] for name, block in arrays.pop("covariates").items()}
    return recording.Recorded(**{n: a[here] for n, a in arrays.items()}, covariates=covariates)


def _with_exact(features: Mapping[str, Features], exact: dict[str, float]) -> dict[str, Features]:
    """The sets whose images all have exact scores, with these beside the sketch's."""

    def one(images: Features) -> Features:
        scores = np.array([exact[id] for id in images.ids])
        return dataclasses.replace(images, columns={**images.columns, EXACT: scores})

    return {n: one(f) for n, f in features.items() if all(id in exact for id in f.ids)}
