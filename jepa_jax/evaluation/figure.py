"""The figure and the files of an evaluation."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jepa_jax.evaluation.comparison import Comparison
from jepa_jax.evaluation.run import Evaluation

# Okabe and Ito: told apart by colour-blind readers.
_SCORE, _BASELINE, _CONTROL = "#D55E00", "#0072B2", "#777777"
_CONTROLS = ("JPEG", "log Frobenius", "embedding norm")


def draw(comparison: Comparison, path: str | Path, title: str = "") -> None:
    """AUROC with its interval, a panel an outlier set and a line a method, as an image file.

    Raises `ModuleNotFoundError` that names the extra to install where matplotlib is missing.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the figure needs matplotlib: `pip install 'jepa-jax[evaluation]'`"
        ) from error
    sets, methods = comparison.outliers, comparison.methods
    columns = min(4, len(sets))
    rows = -(-len(sets) // columns)
    height = 0.24 * len(methods) + 0.9
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(2.9 + 2.2 * columns, rows * height + 0.3),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for place, (ax, name) in enumerate(zip(grid.flat, sets, strict=False)):
        for line, method in enumerate(methods):
            found = method.assessments[name]
            low, high = found.intervals["auroc"]
            colour = _colour(method.name)
            ax.plot([low, high], [line, line], color=colour, linewidth=2, solid_capstyle="butt")
            ax.plot(found.metrics.auroc, line, "o", color=colour, markersize=4.5)
        ax.axvline(0.5, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
        ax.set_title(f"{name} ({comparison.sizes[name]})", fontsize=10)
        ax.set_xlim(-0.02, 1.02)
        ax.grid(axis="x", color="#dddddd", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8.5)
        if place >= len(sets) - columns:
            ax.set_xlabel("AUROC", fontsize=9)
            ax.tick_params(labelbottom=True)
    for ax in list(grid.flat)[len(sets) :]:
        ax.set_visible(False)
    grid[0, 0].set_yticks(range(len(methods)), [m.name for m in methods])
    grid[0, 0].set_ylim(len(methods) - 0.4, -0.6)
    if title:
        figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)


def _colour(name: str) -> str:
    if name.startswith("JEPA-SCORE"):
        return _SCORE
    return _CONTROL if name.startswith(_CONTROLS) else _BASELINE


def table(comparison: Comparison, outliers: str) -> list[list[str]]:
    """The header and a line a method for one outlier set, as text."""
    percent = f"{comparison.confidence:.0%}"
    header = [
        "method",
        "AUROC",
        f"{percent} interval",
        "AUPR-in",
        "AUPR-out",
        "FPR95-in",
        "FPR95-out",
        "ms/image",
    ]
    lines = [header]
    for method in comparison.methods:
        found = method.assessments[outliers]
        low, high = found.intervals["auroc"]
        m = found.metrics
        figures = [f"{v:.3f}" for v in (m.aupr_in, m.aupr_out, m.fpr95_in, m.fpr95_out)]
        seconds = method.seconds_of_inputs + method.seconds_an_image
        time = "" if math.isnan(seconds) else f"{1000 * seconds:.3g}"
        lines.append([method.name, f"{m.auroc:.3f}", f"{low:.3f} to {high:.3f}", *figures, time])
    return lines


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of text, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of a header and lines."""
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])


def write_json(record: dict[str, Any], path: str | Path, digits: int = 5) -> None:
    """JSON with floats of so many digits, and null for what is not a number."""
    Path(path).write_text(json.dumps(_plain(record, digits), indent=1) + "\n")


def _plain(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, digits) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def write_image_scores(evaluation: Evaluation, path: str | Path) -> None:
    """Every tested image's score by every method, as Parquet: `set`, `id`, a column a method."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tested = ["inliers", *evaluation.comparison.outliers]
    columns: dict[str, Any] = {
        "set": [name for name in tested for _ in range(len(evaluation.features[name]))],
        "id": [id for name in tested for id in evaluation.features[name].ids],
    }
    for method in evaluation.comparison.methods:
        columns[method.name] = np.concatenate([method.scores[name] for name in tested])
    pq.write_table(pa.table(columns), path, compression="zstd")
