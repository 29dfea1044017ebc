"""The score of a trained encoder is the log-density of a 2-D mixture: alone on a sphere, with the
second term of the change of variables for Gaussian embeddings.

    python -m benchmarks.density plane

trains 12 encoders (K = 3 on the sphere; K = 2, 16, 64 Gaussian; 3 seeds each), and writes
plane.json, plane.md and plane.png.

Result: Spearman with the true log-density on 5,000 held-out points is .991 to .997 for the sphere
and .984 to .993 for the corrected Gaussian K = 2, three seeds each. At K = 2 the score alone gives
.3 to .4. At K = 16 and 64 no form gives the density: data of two dimensions cannot be N(0, I) in
16, and SIGReg stays at 250 and more.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from benchmarks.density.agreement import assess
from benchmarks.density.trained import scored, trained
from benchmarks.shared.pyplot import pyplot
from benchmarks.shared.tables import table
from jepa_jax.scoring import log_density

SEEDS = (0, 1, 2)
# With K above D, more slices: each sees one of K directions.
WIDE = {"objective.sigreg.slices": 32}
CASES = {
    "sphere, K = 3": ("plane-sphere", {}, "score"),
    "Gaussian, K = 2": ("plane-gaussian", {}, "corrected"),
    "Gaussian, K = 16": (
        "plane-gaussian",
        {"encoder.embedding": 16, **WIDE},
        "corrected",
    ),
    "Gaussian, K = 64": (
        "plane-gaussian",
        {"encoder.embedding": 64, **WIDE},
        "corrected",
    ),
}
SIDE, LIMIT = 120, 3.2


def heat_maps(shown, path: Path) -> None:
    """The true log-density beside what the encoders of seed 0 say, each less its maximum."""
    plt = pyplot()
    axis = np.linspace(-LIMIT, LIMIT, SIDE)
    grid = jnp.asarray(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), jnp.float32)
    density = next(iter(shown.values()))[0].density
    maps = {"true log-density": np.asarray(density.log_prob(grid))}
    for name, (_, model, form) in shown.items():
        volume, z = scored(model, grid)
        for kind in ("score",) if form == "score" else ("score", "corrected"):
            maps[f"{name}\n{kind}"] = np.asarray(log_density(volume, z, kind))
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.8), constrained_layout=True)
    for ax, (title, values) in zip(axes.ravel(), maps.items(), strict=True):
        # Each less its own value at the densest point of the truth: constants are not claimed.
        values = values - values[maps["true log-density"].argmax()]
        image = ax.imshow(
            values.reshape(SIDE, SIDE),
            origin="lower",
            extent=(-LIMIT, LIMIT, -LIMIT, LIMIT),
            vmin=-8,
            vmax=1,
            cmap="viridis",
        )
        ax.contour(axis, axis, values.reshape(SIDE, SIDE), levels=np.arange(-7, 1, 1), colors="w",
                   linewidths=0.4, linestyles="solid")  # fmt: skip
        ax.set_title(title, fontsize=10)
        ax.set_xticks([])
        ax.set_yticks([])
    figure.colorbar(image, ax=axes, shrink=0.7, label="nats, less the value at the densest point")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def run(out: Path) -> tuple[dict, str]:
    """The record and the page; the figure is drawn."""
    rows, record, shown = [], {}, {}
    for name, (config, changes, form) in CASES.items():
        found = []
        for seed in SEEDS:
            training, model = trained(config, changes | {"seed": seed})
            found.append(assess(training, model))
            if seed == 0:
                shown[name] = (training, model, form)
        record[name] = found
        for kind in ("score", "corrected"):
            if kind == "corrected" and form == "score":
                continue
            rows.append(
                [name, kind]
                + [f"{f[kind]['spearman']:.3f}" for f in found]
                + [f"{np.mean([f[kind][m] for f in found]):.3f}" for m in ("pearson", "error_sd")]
                + [f"{np.mean([f[m] for f in found]):.2f}" for m in ("dirichlet", "sigreg")]
            )
    heat_maps(shown, out / "plane.png")
    header = ["embedding", "log-density by", *[f"Spearman, seed {s}" for s in SEEDS], "Pearson"]
    header += ["sd of the error, nats", "invariance / noise²", "SIGReg"]
    return {"points": 5000, "cases": record}, table(header, rows)
