"""One view against Eq. 4 with many: how fast does the estimate settle?

    python -m benchmarks.density views

scores noisy views x + noise of held-out points with the encoders of plane.py (seed 0), joins V of
them by Eq. 4 of arXiv 2510.05949, and writes views.json, views.md and views.png.

Result: views as mild as those of the training (noise .05) change nothing: .98 with one, .99 with
eight. With noise of .2, near half of a component's width, one view has .82 and 32 have .98. With
noise of .5 the estimate has not settled at 64: the mean of exp(-score) is a matter of its rarest
views, and the stated error is 1.6 times too small.
"""

from pathlib import Path

import jax
import numpy as np

from benchmarks.density.agreement import agreement
from benchmarks.density.trained import points, scored, trained
from benchmarks.shared.pyplot import pyplot
from benchmarks.shared.tables import table
from jepa_jax.scoring import combine_views, log_density

COUNTS = (1, 2, 4, 8, 16, 32, 64)
NOISES = (0.05, 0.2, 0.5)
POINTS = 1000
ENCODERS = {
    "sphere, K = 3": ("plane-sphere", "score"),
    "Gaussian, K = 2": ("plane-gaussian", "corrected"),
}


def view_scores(model, form: str, x, noise: float) -> np.ndarray:
    """Log-densities of V = max(COUNTS) noisy views of every point, (N, V)."""
    shape = (len(x), max(COUNTS), x.shape[1])
    views = np.asarray(x)[:, None] + noise * np.asarray(jax.random.normal(jax.random.key(5), shape))
    volume, z = scored(model, views.reshape(-1, x.shape[1]).astype(np.float32))
    return np.asarray(log_density(volume, z, form), np.float64).reshape(shape[:2])


def run(out: Path) -> tuple[dict, str]:
    """The record and the page; the figure is drawn."""
    plt = pyplot()
    rows, record = [], {}
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, constrained_layout=True)
    for ax, (name, (config, form)) in zip(axes, ENCODERS.items(), strict=True):
        training, model = trained(config, {"seed": 0})
        x = points(training, POINTS)
        log_p = np.asarray(training.density.log_prob(x), np.float64)
        clean, z = scored(model, x)
        record[name] = {
            "no noise": agreement(np.asarray(log_density(clean, z, form), np.float64), log_p)
        }
        rows.append([name, "0", f"{record[name]['no noise']['spearman']:.3f}"] + [""] * 8)
        for noise in NOISES:
            scores = view_scores(model, form, x, noise)
            by_count, errors, stated = [], [], []
            for count in COUNTS:
                joined = np.array([combine_views(row[:count]) for row in scores])
                by_count.append(agreement(joined[:, 0], log_p)["spearman"])
                # Two estimates from different views: their difference is sqrt(2) of one's error.
                if 2 * count <= max(COUNTS):
                    again = np.array([combine_views(row[count : 2 * count]) for row in scores])
                    errors.append(float(np.std(joined[:, 0] - again[:, 0]) / np.sqrt(2)))
                    stated.append(float(np.sqrt(np.mean(joined[:, 1] ** 2))))
            record[name][f"noise {noise}"] = {
                "spearman": dict(zip(COUNTS, by_count, strict=True)),
                "error_sd": dict(zip(COUNTS, errors, strict=False)),
                "stated_error": dict(zip(COUNTS, stated, strict=False)),
            }
            at_32 = f"{errors[-1]:.2f} / {stated[-1]:.2f}"
            rows.append(
                [name, str(noise), *[f"{s:.3f}" for s in by_count], f"{errors[0]:.2f}", at_32]
            )
            ax.plot(COUNTS, by_count, marker="o", label=f"noise {noise}")
        ax.axhline(record[name]["no noise"]["spearman"], color="k", lw=0.8, label="x itself")
        ax.set_xscale("log", base=2)
        ax.set_xlabel("views")
        ax.set_title(name)
        ax.legend()
    axes[0].set_ylabel("Spearman with log p")
    figure.savefig(out / "views.png", dpi=80)
    plt.close(figure)
    header = ["encoder", "noise, sd", *[f"{c} view{'s' * (c > 1)}" for c in COUNTS]]
    header += ["random error of 1 view, nats", "of 32: measured / stated"]
    return {"points": POINTS, "encoders": record}, table(header, rows)
