"""Exact Jacobians, kept as what the methods need of them: K x K numbers an image."""

import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jepa_jax import Encoder, Exact, Scorer
from jepa_jax.atomic_files import replace, replace_text
from jepa_jax.data import Record, UnreadableImage
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.estimators.sketch.measurement import measure
from jepa_jax.scoring.numerics import Precision, numerics

_COVARIATE, _SAID = "covariate ", "recording.json"


class Recorded(NamedTuple):
    """What is known of N images, in the order of their file names.

    `roots` (N, K, K): square roots of J J^T, whose last columns are zero where directions are null;
    `scores`: exact, nats; `nulls` (N, K, R); `covariates`: by name, (N, F).
    """

    ids: np.ndarray
    groups: np.ndarray
    roots: np.ndarray
    scores: np.ndarray
    nulls: np.ndarray
    covariates: dict[str, np.ndarray]


def record(
    encoder: Encoder,
    images: Iterable[Record],
    folder: Path,
    precision: Precision = "highest",
    part: tuple[int, int] = (0, 1),
) -> None:
    """Measures every image that has no file in `folder` yet, the `part`-th of so many parts.

    K VJPs an image. Raises `ValueError` where the folder is of another encoder or precision.
    """
    side = encoder.image_size
    chunk = Scorer(encoder, Exact(), devices=1, precision=precision).plan(side, side).chunk

    @jax.jit
    def measured(state, image):
        jacobian = jacobian_of(encoder, state, image, chunk)
        return measure(jacobian), jacobian.null_basis

    folder.mkdir(parents=True, exist_ok=True)
    check(encoder, folder, precision)
    for i, image in enumerate(images):
        path = folder / f"{hashlib.sha256(image.id.encode()).hexdigest()[:16]}.npz"
        if i % part[1] != part[0] or path.exists():
            continue
        try:
            pixels = encoder.preprocess(image.load())
        except UnreadableImage as error:
            print(f"{image.id}: {error}", flush=True)
            continue
        with numerics(precision):
            found, nulls = jax.tree.map(np.asarray, measured(encoder.state, pixels))
        covariates = {_COVARIATE + name: value for name, value in found.covariates.items()}
        write = functools.partial(
            np.savez,
            id=image.id,
            group=image.source,
            score=found.score,
            root=found.sketch,
            nulls=nulls,
            allow_pickle=False,
            **covariates,
        )
        replace(path, write)
        print(f"{image.id}: {found.score:.2f} nats", flush=True)


def check(encoder: Encoder, folder: Path, precision: Precision) -> None:
    """Says in `folder` what its files are of. Raises `ValueError` where that is something else."""
    path = folder / _SAID
    said = {
        "fingerprint": encoder.fingerprint,
        "embedding": str(encoder.rule),
        "image_size": encoder.image_size,
        "precision": precision,
    }
    if not path.exists():
        replace_text(path, json.dumps(said, indent=2) + "\n")
    elif (there := json.loads(path.read_text())) != said:
        raise ValueError(f"{folder} holds Jacobians of {there}, not of {said}")


def said_of(folder: Path) -> dict:
    """What a folder's Jacobians are of."""
    return json.loads((folder / _SAID).read_text())


def read(folder: Path) -> Recorded:
    """All that `record` has written so far. Raises `FileNotFoundError` where that is nothing."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise FileNotFoundError(f"no recorded Jacobian in {folder}")
    files = [dict(np.load(path)) for path in paths]
    k = files[0]["root"].shape[0]
    roots = np.zeros((len(files), k, k), np.float32)
    for i, file in enumerate(files):
        roots[i, :, : file["root"].shape[1]] = file["root"]
    names = [name for name in files[0] if name.startswith(_COVARIATE)]
    stacked = lambda name: np.stack([file[name] for file in files])
    return Recorded(
        np.array([str(file["id"]) for file in files]),
        np.array([str(file["group"]) for file in files]),
        roots,
        stacked("score").astype(np.float64),
        stacked("nulls"),
        {name.removeprefix(_COVARIATE): stacked(name) for name in names},
    )
