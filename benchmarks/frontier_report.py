"""What frontier.py writes: rows of figures, Markdown tables, and the figure."""

import dataclasses
import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
# One a method, distinguishable by colour-blind readers (Okabe and Ito), and a marker each.
STYLES = {
    "Sketch": ("#0072B2", "o"),
    "Sketch, without depth": ("#E69F00", "X"),
    "Sketch, spectrum alone": ("#56B4E9", "s"),
    "row sketch, scaled by K/p": ("#999999", "v"),
    "Lanczos": ("#D55E00", "^"),
    "Hutchinson": ("#009E73", "D"),
    "XTrace": ("#CC79A7", "P"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One method at one setting: its cost in VJP units, as a share of exact, and its figures."""

    method: str
    setting: str
    cost: float
    share: float
    figures: Mapping[str, object]

    def line(self) -> str:
        """For the terminal."""
        f = self.figures
        return (
            f"{self.method:26} {self.setting:26} {1 / self.share:6.1f}x  sd {f['sd']:6.2f}  "
            f"Spearman {f['spearman']:.4f} / {f['spearman_pooled']:.4f}"
        )

    def record(self) -> dict:
        """For JSON."""
        plain = {"method": self.method, "setting": self.setting, "cost": self.cost}
        return plain | {"fraction_of_exact": self.share} | dict(self.figures)


def row(method: str, setting: str, cost: float, exact: float, figures: Mapping[str, object]) -> Row:
    """A `Row` whose cost is a share of `exact`."""
    return Row(method, setting, float(cost), float(cost / exact), figures)


def _cell(value: object, digits: int) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        text = f"{value:.{digits}f}"
        return text.lstrip("-") if float(text) == 0 else text
    return str(value)


def table(header: Sequence[tuple[str, int]], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table; `header` has a column's name and its digits."""
    text = ["| " + " | ".join(name for name, _ in header) + " |"]
    text.append("|" + "---|" * len(header))
    for line in lines:
        cells = [_cell(v, digits) for v, (_, digits) in zip(line, header, strict=True)]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


# Heading, key of the figures, digits.
COLUMNS = (
    ("bias", "bias", 1),
    ("sd", "sd", 1),
    ("sd / score's sd", "sd_share", 3),
    ("Spearman", "spearman", 4),
    ("pooled", "spearman_pooled", 4),
    ("Kendall", "kendall", 3),
    ("rmse, all", "rmse", 1),
    ("rmse predicted", "predicted_rmse", 1),
    ("within 1 error", "coverage_1", 2),
    ("1.96", "coverage_1.96", 2),
    ("std_error / real", "error_ratio", 2),
    ("in bounds", "bracketed", 2),
    ("largest shift", "largest_shift", 2),
    ("AUROC shift", "largest_auroc_shift", 3),
)


def accuracy_table(
    rows: Sequence[Row], before: Sequence[tuple[str, int]] = (), values=lambda row: ()
) -> str:
    """Accuracy against cost; `before` and `values` add columns in front of the accuracy."""
    header = [("method", 0), ("setting", 0), ("VJP units", 0), ("of exact", 3), ("speedup", 1)]
    lines = [
        [r.method, r.setting, r.cost, r.share, 1 / r.share, *values(r)]
        + [r.figures.get(key) for _, key, _ in COLUMNS]
        for r in rows
    ]
    return table([*header, *before, *[(name, digits) for name, _, digits in COLUMNS]], lines)


LEGEND = (
    "Cost in VJPs, a JVP counted as 1.5; exact: one VJP a live dimension. In nats and in "
    "distribution, unless said: `bias` and `sd` of the error, the latter also over the exact "
    "score's own sd. Rank correlations in distribution, and pooled over all groups. `rmse "
    "predicted`: of leave-one-out on the calibration, for `rmse, all`. `within 1 error`: the share "
    "of images whose error is within `std_error` (.68 where this is right; for methods with random "
    "probes, the error less its mean). `std_error / real`: stated over real size of the random "
    "error alone, from two keys an image. `in bounds`: the share of images whose exact score is "
    "within `bias_bound` below the estimate (Hutchinson: of it), give or take two `std_error`. "
    "`largest shift`: of any group's mean error from that in distribution, in the score's sd. "
    "`AUROC shift`: the largest of any group's."
)


def versions(*names: str) -> dict[str, str]:
    """Of the interpreter and of libraries."""
    found = {name: version(name) for name in ("jax", "numpy", "scipy", "scikit-learn", *names)}
    return {"python": platform.python_version()} | found


def write(name: str, text: str, record: dict, out: Path | None = None) -> Path:
    """results/frontier-NAME.md and .json; returns the path of the figure beside them."""
    stem = (out or RESULTS) / f"frontier-{name}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".md").write_text(text.rstrip() + "\n")
    plain = json.dumps(_rounded(record), indent=1, default=lambda r: _rounded(r.record()))
    stem.with_suffix(".json").write_text(plain + "\n")
    return stem.with_suffix(".png")


def _rounded(value):
    if isinstance(value, dict):
        return {str(k): _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.5g}")
    return value


def draw(path: Path, panels: Mapping[str, Sequence[Row]], xlabel: str) -> None:
    """A row of two plots a panel: error and rank correlation against the share of exact."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

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
