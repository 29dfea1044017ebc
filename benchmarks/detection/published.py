"""Real spectra of DINOv2: the published AUROCs, with intervals."""

from pathlib import Path

import numpy as np

from jepa_jax.evaluation import Column, Features, compare

NULL = 2  # The last values of every row: float32 noise in the final LayerNorm's null directions.
INSIDE = "cifar10"
OUTSIDE = ("svhn", "cifar100", "dtd")
# (title, file, published AUROC of JEPA-SCORE, one-sided, against `OUTSIDE`).
SETS = (
    ("DINOv2 ViT-S/14", "spectra_dinov2_vits14.npz", (0.841, 0.638, 0.995)),
    ("DINOv2 ViT-L/14", "spectra_dinov2_vitl14.npz", (0.477, 0.566, 0.810)),
)


def features(spectra: np.ndarray, name: str) -> Features:
    """Scores of Listing 1 (all values, clipped at 1e-6) and Eq. 5 (live values), and summaries."""
    sigma = spectra.astype(np.float64)
    live = np.log(sigma[:, :-NULL])
    return Features(
        tuple(f"{name}/{i}" for i in range(len(sigma))),
        None,
        {
            "JEPA-SCORE, Listing 1": np.log(np.maximum(sigma, 1e-6)).sum(1),
            "JEPA-SCORE, Eq. 5": live.sum(1),
            "median log sigma": np.median(live, axis=1),
            "sum of the top 64 log sigma": live[:, :64].sum(1),
            "log_frobenius": np.log(np.square(sigma[:, :-NULL]).sum(1)) / 2,
        },
    )


def run(folder: Path, resamples: int = 2000) -> dict:
    """Per encoder: all inliers, nothing fitted; and halves, the median of one for the other."""
    result = {}
    for title, file, published in SETS:
        with np.load(folder / file) as data:
            sets = {name: features(data[name], name) for name in data}
        inside, outside = sets[INSIDE], {name: sets[name] for name in OUTSIDE}
        one_sided = [Column(name) for name in inside.columns]
        # One-sided methods fit nothing: the reference may be anything.
        whole = compare(inside, inside, outside, detectors=one_sided, resamples=resamples)
        halves = np.array_split(np.random.default_rng(0).permutation(len(inside)), 2)
        reference, tested = (inside.take(half) for half in halves)
        sided = [Column(n, two_sided=t) for n in inside.columns for t in (False, True)]
        fair = compare(reference, tested, outside, detectors=sided, resamples=resamples)
        result[title] = {
            "published": dict(zip(OUTSIDE, published, strict=True)),
            "all": whole.record(),
            "halves": fair.record(),
        }
    return result
