"""What carries the density: which part of the objective, on the 2-D mixture.

    python -m benchmarks.density objectives

trains the encoder of plane.py (K = 2 without normalisation, K = 3 on the sphere) with other
objectives, and an untrained one, and writes objectives.json, objectives.md and objectives.png.

Result: what carries the density is a statistic that sees the whole distribution (SIGReg .99,
uniformity .99). VICReg, which sees second moments, lays the clusters almost on points (3 % of the
variance is within them): -.5. Invariance alone, with weight decay or spectral normalisation,
collapses: -.5 to -.6. Without invariance the plane keeps .99, the sphere falls to .88: there
invariance, weighing most at first, prevents folds.
LeJEPA's bandwidth of 1 is far from its optimum after the same 500 steps (SIGReg 16, Spearman .57).
"""

from pathlib import Path

import numpy as np

from benchmarks.density.agreement import assess
from benchmarks.density.bars import bars
from benchmarks.density.trained import points, scored, trained
from benchmarks.shared.tables import table
from jepa_jax.training.config import Training

_NONE = {"objective.sigreg.weight": 0.0}
# VICReg in the paper's proportions: 25 invariance + 25 variance + covariance, the squared distance
# of two views being 4 K times `invariance`, K = 2.
_VICREG = {
    "objective": {"invariance": {"weight": 200.0}, "vicreg": {"weight": 1.0}},
}
# Past the weight at which a collapsed map spreads within a few steps, and to a higher one.
_FAST = {"objective.uniformity.weight": [2.5e-3, 25.0], "optimizer.steps": 500}
# Name: configuration, changes; None: not trained.
CASES = {
    "untrained, K = 2": ("plane-gaussian", None),
    "SIGReg, its weight growing": ("plane-gaussian", {}),
    "SIGReg, constant weight": ("plane-gaussian", {"objective.sigreg.weight": 8e-3}),
    "SIGReg of bandwidth 1 (LeJEPA's), weight growing": (
        "plane-gaussian",
        {
            "objective.sigreg.bandwidth": 1.0,
            "objective.sigreg.limit": 5.0,
            "objective.sigreg.points": 17,
        },
    ),
    "SIGReg alone, no invariance": ("plane-gaussian", {"objective.invariance.weight": 0.0}),
    "VICReg": ("plane-gaussian", _VICREG),
    "invariance alone": ("plane-gaussian", _NONE),
    "invariance, weight decay 0.1": (
        "plane-gaussian",
        {**_NONE, "optimizer.weight_decay": 0.1},
    ),
    "invariance, spectral norm ≤ 1.5": ("plane-gaussian", {**_NONE, "encoder.spectral": 1.5}),
    "untrained, sphere": ("plane-sphere", None),
    "uniformity, its weight growing": ("plane-sphere", {}),
    "uniformity, its weight growing faster, seed 1": ("plane-sphere", {**_FAST, "seed": 1}),
    "uniformity, its weight growing faster, seed 2": ("plane-sphere", {**_FAST, "seed": 2}),
    "uniformity, constant weight": ("plane-sphere", {"objective.uniformity.weight": 1.0}),
    "uniformity alone, no invariance": ("plane-sphere", {"objective.invariance.weight": 0.0}),
    "invariance alone, sphere": ("plane-sphere", {"objective.uniformity.weight": 0.0}),
}


def within_components(training: Training, model) -> float:
    """Share of the embeddings' variance that is within the mixture's components."""
    x = points(training)
    _, z = scored(model, x)
    nearest = np.linalg.norm(np.asarray(x)[:, None] - training.density.means, axis=-1).argmin(1)
    centres = np.stack([z[nearest == c].mean(0) for c in range(nearest.max() + 1)])
    total = np.square(z - z.mean(0)).sum()
    return float(np.square(z - centres[nearest]).sum() / total) if total > 0 else float("nan")


def run(out: Path) -> tuple[dict, str]:
    """The record and the page; the figure is drawn."""
    rows, record = [], {}
    for name, (config, changes) in CASES.items():
        if changes is None:
            training = Training.read(config)
            model = training.model()
        else:
            training, model = trained(config, {"seed": 0, **changes})
        found = record[name] = assess(training, model)
        found["variance_within_components"] = round(within_components(training, model), 4)
        rows.append(
            [
                name,
                f"{found['score']['spearman']:.3f}",
                f"{found['corrected']['spearman']:.3f}" if "plane-g" in config else "",
                f"{found['dirichlet']:.3g}",
                f"{found['sigreg']:.3g}" if "plane-g" in config else "",
                f"{found['uniformity_gap']:.3g}" if "plane-s" in config else "",
                f"{found['neighbours_kept']:.2f}",
                f"{found['variance_within_components']:.2f}",
            ]
        )
    form = {name: "corrected" if "plane-g" in CASES[name][0] else "score" for name in CASES}
    shown = {name: {"": record[name][form[name]]["spearman"]} for name in CASES}
    label = "Spearman with the true log-density (corrected where K = 2)"
    bars(out / "objectives.png", shown, label, 0)
    header = ["objective", "Spearman, score", "Spearman, corrected", "invariance / noise²"]
    header += ["SIGReg", "uniformity over its floor", "neighbours kept"]
    header += ["variance within components"]
    return {"points": 5000, "cases": record}, table(header, rows)
