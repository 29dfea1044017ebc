"""The Markdown and the figure."""

from pathlib import Path

import numpy as np

from benchmarks.shared.pyplot import pyplot
from jepa_jax.evaluation.tables import markdown


def _pm(value: list[float], digits: int = 3, sign: bool = False) -> str:
    return f"{value[0]:{'+' if sign else ''}.{digits}f} ± {value[1]:.{digits}f}"


def page(result: dict) -> str:
    """Mixed contamination at every rate, then precision by kind, then all figures by kind."""
    tables = result["tables"]
    first = tables[0]["kind"]
    mixed = [t for t in tables if t["kind"] == first]
    single = [t for t in tables if t["kind"] != first]
    parts = [
        "# Removing the lowest scores of a messy data set",
        f"`python -m benchmarks.curation`: {result['size']} MNIST digits, a share of them spoiled; "
        f"the embedded (toy) encoder; no clean reference, five-fold cross-fitting; "
        f"{result['seeds']} random sets each, means ± half of the 95 % t-interval. Precision: the "
        "spoiled share of as many removed images as were spoiled (which is the recall too); random "
        "removal has the rate. Recall at twice: of the spoiled ones, among twice as many removed. "
        "Accuracy: of a linear probe after removal, and less that of random removal; all clean: "
        f"{result['clean_accuracy']:.3f}.",
        "![precision by kind](curation.png)",
        "## Precision by kind, 10 %",
    ]
    lines = [["method", *[t["kind"] for t in single]]]
    for place, row in enumerate(single[0]["rows"]):
        cells = [f"{t['rows'][place]['precision'][0]:.2f}" for t in single]
        lines.append([row["method"], *cells])
    parts.append(markdown(lines))
    for table in (*mixed, *single):
        header = ["method", "AUROC", "precision", "recall at twice", "accuracy", "over random"]
        lines = [header]
        for row in table["rows"]:
            cells = [_pm(row[k]) for k in ("auroc", "precision", "recall_twice", "accuracy")]
            over = _pm(row["accuracy_over_random"], sign=True)
            lines.append([row["method"], *cells, over])
        before = _pm(table["rows"][0]["accuracy_before"])
        parts += [
            f"## {table['kind']}, {table['rate']:.0%}",
            f"Accuracy before removal: {before}.",
            markdown(lines),
        ]
    return "\n\n".join(parts)


def draw(result: dict, path: Path) -> None:
    """Precision of every method on every kind at 10 %, as a table in colour."""
    plt = pyplot()
    shown = [t for t in result["tables"] if t["rate"] == 0.1]
    methods = [row["method"] for row in shown[0]["rows"]]
    values = np.array([[row["precision"][0] for row in t["rows"]] for t in shown]).T
    figure, ax = plt.subplots(figsize=(0.62 * len(shown) + 3.4, 0.3 * len(methods) + 1.6))
    ax.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        colour = "white" if value < 0.6 else "black"
        ax.text(x, y, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    ax.set_xticks(range(len(shown)), [t["kind"] for t in shown], rotation=40, ha="right")
    ax.set_yticks(range(len(methods)), methods)
    ax.tick_params(labelsize=9, length=0)
    ax.set_title("precision of removing as many as were spoiled (10 %)", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
