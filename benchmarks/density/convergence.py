"""From when can the score be trusted, and does anything that needs no ground truth say so?

    python -m benchmarks.density convergence

follows four trainings on the 2-D mixture: the two of plane.py, and each with the weight of its
distribution term held at its last value from the start. Writes convergence.json, convergence.md and
convergence.png.

Result: .95 is passed after 150 to 225 of 500 to 800 steps, long before the losses are at their
floors. Along a training the distribution's statistic tells (rank correlation -.6 to -.95), but at
its end it does not: a sphere whose uniformity is as good as the other's has .89, because the map
lies in folds. That shows in two quantities that need no truth: the invariance (.62 against .47) and
the share of nearest neighbours kept (.85 against .98).
"""

import time
from pathlib import Path

from scipy.stats import spearmanr

from benchmarks.density.agreement import assess
from benchmarks.shared.pyplot import pyplot
from benchmarks.shared.tables import table
from jepa_jax.training.config import Training
from jepa_jax.training.trainer import train

# Name: configuration, changes, the form of the log-density, the distribution's term.
RUNS = {
    "Gaussian K = 2, weight grows": ("plane-gaussian", {}, "corrected"),
    "Gaussian K = 2, constant weight": (
        "plane-gaussian",
        {"objective.sigreg.weight": 8e-3},
        "corrected",
    ),
    "sphere K = 3, weight grows": ("plane-sphere", {}, "score"),
    "sphere K = 3, constant weight": (
        "plane-sphere",
        {"objective.uniformity.weight": 1.0},
        "score",
    ),
}
EVERY = 25
SIGNS = ("dirichlet", "effective_rank", "neighbours_kept")


def follow(name: str) -> list[dict]:
    """Losses, agreement with the truth, and signs, along one training."""
    config, changes, form = RUNS[name]
    training = Training.read(config, changes)
    losses, found = {}, []

    def watch(step, model):
        measured = assess(training, model, count=2000)
        found.append({"step": step, **losses, **measured, "agreement": measured[form]})

    began = time.perf_counter()
    train(
        training.model(),
        training.task,
        training.train_key,
        training.optimizer,
        report=lambda row: losses.update({f"training_{k}": v for k, v in row.items()}),
        report_every=EVERY,
        watch=watch,
    )
    print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return found


def draw(record: dict, path: Path) -> None:
    """A column a training: agreement, losses and signs along it."""
    plt = pyplot()
    figure, axes = plt.subplots(4, 4, figsize=(13, 10), sharex=True, constrained_layout=True)
    for column, (name, rows) in enumerate(record.items()):
        term = "uniformity_gap" if "sphere" in name else "sigreg"
        steps = [row["step"] for row in rows]
        lines = {
            "Spearman with log p": [row["agreement"]["spearman"] for row in rows],
            "held-out " + term.replace("_", " "): [row[term] for row in rows],
            "invariance / noise²": [row["dirichlet"] for row in rows],
            "neighbours kept": [row["neighbours_kept"] for row in rows],
        }
        axes[0, column].set_title(name, fontsize=9)
        for ax, (label, values) in zip(axes[:, column], lines.items(), strict=True):
            ax.plot(steps, values)
            ax.set_ylabel(label, fontsize=8)
        axes[0, column].set_ylim(0.0, 1.02)
        axes[1, column].set_yscale("log")
        axes[3, column].set_ylim(0.0, 1.02)
        axes[3, column].set_xlabel("step")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def page(record: dict) -> str:
    """The end of every training, and how each sign goes with the agreement along it."""
    rows = []
    for name, found in record.items():
        rank = [row["agreement"]["spearman"] for row in found]
        first = next((row["step"] for row in found if row["agreement"]["spearman"] >= 0.95), None)
        signs = []
        for sign in ("uniformity_gap" if "sphere" in name else "sigreg", *SIGNS):
            values = [row[sign] for row in found[1:]]
            signs += [f"{values[-1]:.3g} ({spearmanr(values, rank[1:]).statistic:+.2f})"]
        rows.append([name, f"{rank[-1]:.3f}", first or "never", *signs])
    header = ["training", "Spearman at the end", "first ≥ .95 at step", "SIGReg or uniformity gap"]
    header += ["invariance / noise²", "effective rank", "neighbours kept"]
    return (
        f"{table(header, rows)}\n\n"
        "From the fourth column on: the quantity on 2,000 held-out points at the end, and its "
        "rank\ncorrelation with the agreement (Spearman with the true log-density) along the "
        "training."
    )


def run(out: Path) -> tuple[dict, str]:
    """The record and the page; the figure is drawn."""
    record = {name: follow(name) for name in RUNS}
    draw(record, out / "convergence.png")
    return {"points": 2000, "runs": record}, page(record)
