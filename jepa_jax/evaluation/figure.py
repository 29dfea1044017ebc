"""The figure and the files of an evaluation."""

from pathlib import Path

from jepa_jax.atomic_files import replace
from jepa_jax.evaluation.comparison import Comparison

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
    kind = Path(path).suffix.removeprefix(".") or "png"
    replace(path, lambda file: figure.savefig(file, dpi=110, facecolor="white", format=kind))
    plt.close(figure)


def _colour(name: str) -> str:
    if name.startswith("JEPA-SCORE"):
        return _SCORE
    return _CONTROL if name.startswith(_CONTROLS) else _BASELINE
