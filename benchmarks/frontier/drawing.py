"""The figure: error and rank correlation against cost, a line or a point a method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.frontier.rows import Row
from benchmarks.shared.pyplot import pyplot

# One a method, distinguishable by colour-blind readers (Okabe and Ito; Tol), and a marker each.
STYLES = {
    "Sketch": ("#0072B2", "o"),
    "Sketch, without depth": ("#E69F00", "X"),
    "Sketch, spectrum alone": ("#56B4E9", "s"),
    "row sketch, scaled by K/p": ("#999999", "v"),
    "Lanczos": ("#D55E00", "^"),
    "Hutchinson": ("#009E73", "D"),
    "XTrace": ("#CC79A7", "P"),
    "Lanczos, Nystrom-preconditioned": ("#332288", "<"),
    "randomised SVD, top values": ("#882255", "h"),
}


def draw(path: Path, panels: Mapping[str, Sequence[Row]], xlabel: str) -> None:
    """A row of two plots a panel: error and rank correlation against the share of exact."""
    plt = pyplot()
    style = {"font.size": 10, "axes.titlesize": 11, "axes.linewidth": 0.8, "legend.fontsize": 9.5}
    with plt.rc_context(style):
        height = 3.6 * len(panels) + 0.6
        figure, grid = plt.subplots(len(panels), 2, figsize=(9, height), squeeze=False)
        handles: dict[str, object] = {}
        for axes, (title, rows) in zip(grid, panels.items(), strict=True):
            _panel(axes[0], rows, lambda f: f["sd_share"], handles)
            _panel(axes[1], rows, lambda f: 1 - f["spearman"], handles)
            axes[0].set_title(f"{title}: sd of the error / sd of the score")
            axes[1].set_title(f"{title}: rank correlation with exact")
            low, high = axes[0].get_ylim()
            steps = (1, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5)
            _ticks(axes[0].yaxis, [s * 10.0**e for e in (-3, -2, -1, 0) for s in steps])
            shown = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
            _ticks(axes[1].yaxis, [1 - c for c in shown], lambda t: f"{1 - t:.3g}"[1:])
            axes[1].invert_yaxis()
            for ax in axes:
                ax.set_xlabel(xlabel)
        columns = 4 if len(handles) > 6 else 3
        lines = -(-len(handles) // columns)
        below = (0.12 + 0.21 * lines) / height
        figure.tight_layout(rect=(0, below, 1, 1), w_pad=2.5, h_pad=2)
        place = {"loc": "lower center", "ncols": columns, "frameon": False}
        figure.legend(handles.values(), handles.keys(), **place)
        figure.savefig(path, dpi=130, facecolor="white")
        plt.close(figure)


def _panel(ax, rows: Sequence[Row], value, handles: dict) -> None:
    """One plot: lines for methods with one setting to turn, points for the others."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    for method, (colour, marker) in STYLES.items():
        mine = sorted((r for r in rows if r.method == method), key=lambda r: r.share)
        if not mine:
            continue
        line = "-" if method.startswith(("Sketch", "row")) else ""
        style = {"color": colour, "marker": marker, "markersize": 5.5, "linewidth": 1.6}
        x, y = [r.share for r in mine], [value(r.figures) for r in mine]
        (drawn,) = ax.plot(x, y, linestyle=line, label=method, zorder=3, **style)
        handles.setdefault(method, drawn)
    ax.axvline(1, color="black", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    transform = ax.get_xaxis_transform()
    ax.set_xlim(right=max(ax.get_xlim()[1], 1.5))
    ax.text(1.1, 0.5, "exact", transform=transform, rotation=90, va="center")
    fraction = lambda t: f"1/{round(1 / t)}" if t < 0.99 else f"{t:g}"
    _ticks(ax.xaxis, [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4], fraction)
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def _ticks(axis, places: Sequence[float], text=lambda t: f"{t:g}") -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axis.set_major_locator(FixedLocator(places))
    axis.set_major_formatter(lambda t, _: text(t))
    axis.set_minor_locator(NullLocator())
