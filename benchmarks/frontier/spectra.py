"""The methods on real spectra with random singular vectors, and the cascade on 500 images."""

from pathlib import Path

import numpy as np

from benchmarks.frontier import methods
from benchmarks.frontier.held_out import cascade_row, held_out, measure_sketch, other_methods, split
from benchmarks.frontier.metrics import cascade
from benchmarks.frontier.rows import row
from jepa_jax import Lanczos, XTrace

INSIDE = "cifar10"
# (file, images in distribution, images of every other group, p, classical methods left out)
SETS = {
    "ViT-S/14": ("spectra_dinov2_vits14.npz", 250, 40, (12, 16, 24, 32, 48, 64, 96, 128, 191), ()),
    "ViT-L/14": (
        "spectra_dinov2_vitl14.npz",
        150,
        20,
        (32, 64, 85, 128, 255),
        (Lanczos(50, 16), XTrace(30, 12)),
    ),
}
CALIBRATION, FOLDS = 128, 5
CASCADES = (32, 48, 64)
NULL = 2  # The last values of every row: float32 noise in the final LayerNorm's null directions.


def haar(size: int, rng: np.random.Generator) -> np.ndarray:
    """A random orthogonal matrix, float32."""
    q, r = np.linalg.qr(rng.standard_normal((size, size), np.float32))
    return q * np.sign(np.diagonal(r))


def load(path: Path, inside: int, others: int, seed: int):
    """(matrices U diag(sigma) (n, K, K), exact scores, groups): the live values alone.

    Right singular vectors are left out: no method's result depends on them.
    """
    rng = np.random.default_rng(seed)
    spectra, groups = [], []
    with np.load(path) as data:
        for name in data:
            count = inside if name == INSIDE else others
            chosen = rng.permutation(len(data[name]))[:count]
            spectra.append(data[name][chosen, :-NULL])
            groups += [name] * len(chosen)
    sigma = np.concatenate(spectra)
    matrices = np.stack([haar(len(s), rng) * s for s in sigma]).astype(np.float32)
    return matrices, np.log(sigma.astype(np.float64)).sum(1), np.array(groups)


def run(folder: Path, quick: bool = False) -> dict:
    """Tables of both encoders, and the cascade on ViT-S/14."""
    result = {"tables": {}}
    for name, (file, inside, others, counts, skip) in SETS.items():
        print(name, flush=True)
        data = load(folder / file, *((150, 15) if quick else (inside, others)), seed=0)
        matrices, scores, groups = data
        live = matrices.shape[1]
        nulls = np.zeros((len(scores), live, 0), np.float32)
        found = methods.measured(matrices, nulls)
        rows = other_methods(data, nulls, found.score, live, INSIDE, counts, skip)
        parts = split(groups, found, {}, max(counts), live, (FOLDS, CALIBRATION, 0))
        for p in counts:
            figures = measure_sketch(data, {}, [parts], ("spectrum",), p, INSIDE)
            rows.append(row("Sketch, spectrum alone", f"p = {p}", p, live, figures))
            print(f"  {rows[-1].line()}", flush=True)
        result["tables"][name] = {
            "images": {str(g): int((groups == g).sum()) for g in np.unique(groups)},
            "live": live,
            "score_sd": float(scores[groups == INSIDE].std()),
            "rows": rows,
        }
        if name == "ViT-S/14":
            result["cascade"] = cascades(folder / file, 1 if quick else 3)
    return result


def cascades(path: Path, repeats: int) -> list[dict]:
    """The cascade on images in distribution alone, over singular vectors and folds."""
    found: dict[int, list[dict]] = {}
    for seed in range(repeats):
        matrices, scores, groups = load(path, 500, 0, seed)
        nulls = np.zeros((len(scores), matrices.shape[1], 0), np.float32)
        live = matrices.shape[1]
        measured = methods.measured(matrices, nulls)
        parts = split(groups, measured, {}, max(CASCADES), live, (4, CALIBRATION, seed))
        for p in CASCADES:
            predictions, _, flagged, _ = held_out(matrices, {}, parts, ("spectrum",), p)
            found.setdefault(p, []).append(cascade(predictions, scores, flagged))
    return [cascade_row(p, live, many) for p, many in found.items()]
