"""AUROC against the strength of each corruption, as a figure."""

from pathlib import Path

from benchmarks.shared.pyplot import pyplot

SHOWN = {
    "JEPA-SCORE, one-sided": "#1f5fbf",
    "JEPA-SCORE + log fitted N": "#7fa9e6",
    "Mahalanobis, Ledoit-Wolf, normalised": "#c2571a",
    "k-NN cosine, k = 5": "#e0a15e",
    "JPEG bits per pixel, two-sided": "#777777",
}
# In the order of the strength's words.
UNITS = {
    "blur": "standard deviation, pixels of 128",
    "noise": "standard deviation, grey levels",
    "JPEG": "quality",
    "contrast": "what is left of it",
}


def draw(result: dict, path: Path) -> None:
    """A panel a corruption, from weak to strong, with 95 % intervals of the score's."""
    plt = pyplot()
    strengths = result["strengths"]
    figure, axes = plt.subplots(1, len(strengths), figsize=(12, 3.3), sharey=True)
    methods = {row["name"]: row["outliers"] for row in result["evaluation"]["methods"]}
    for ax, (kind, each) in zip(axes, strengths.items(), strict=True):
        places = range(len(each))
        for name, colour in SHOWN.items():
            found = [methods[name][f"{kind} {strength:g}"]["auroc"] for strength in each]
            ax.plot(places, [f["value"] for f in found], "o-", ms=3, color=colour, label=name)
            if name == next(iter(SHOWN)):
                low, high = zip(*(f["interval"] for f in found), strict=True)
                ax.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.axhline(0.5, color="#999999", linewidth=0.8, linestyle=":")
        ax.set_xticks(places, [f"{strength:g}" for strength in each])
        ax.set_xlabel(UNITS[kind], fontsize=8)
        ax.set_title(kind, fontsize=10)
        ax.tick_params(labelsize=8)
        ax.set_ylim(0, 1.02)
    axes[0].set_ylabel("AUROC, the animal against itself spoiled", fontsize=8)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
