"""The figure of a table of correlations or AUROCs."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.shared.pyplot import pyplot


def bars(path: Path, groups: Mapping[str, Mapping[str, float]], label: str, at: float) -> None:
    """A horizontal bar a figure, grouped, with a line `at` what guessing gives."""
    plt = pyplot()
    series = list(dict.fromkeys(key for values in groups.values() for key in values))
    figure, ax = plt.subplots(
        figsize=(8, 1 + 0.22 * len(groups) * (len(series) + 0.6)), constrained_layout=True
    )
    for i, key in enumerate(series):
        held = [(j, values[key]) for j, values in enumerate(groups.values()) if key in values]
        place = [j + (i - (len(series) - 1) / 2) * 0.8 / len(series) for j, _ in held]
        drawn = ax.barh(place, [v - at for _, v in held], 0.8 / len(series), left=at, label=key)
        ax.bar_label(drawn, [f"{v:.2f}" for _, v in held], padding=3, fontsize=8)
    ax.set_yticks(range(len(groups)), list(groups))
    ax.invert_yaxis()
    ax.axvline(at, color="black", linewidth=0.8)
    ax.margins(x=0.12)
    ax.set_xlabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=len(series), frameon=False)
    figure.savefig(path, dpi=90)
    plt.close(figure)
