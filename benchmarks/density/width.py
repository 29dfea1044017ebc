"""How the correlation depends on K, with and without the second term.

    python -m benchmarks.density width

trains Gaussian encoders of the 2-D mixture with K = 2 to 512, those of plane.py among them (seed
0), and writes width.json, width.md and width.png.

Result: the second term is what makes a density at K = D = 2 (.31 to .99), and helps at every K, but
less as K grows (.45 to .47 at 512). The score alone never comes near: data of D = 2 dimensions
cannot be N(0, I) in more, and SIGReg is 20 to 350 times its floor.
"""

from pathlib import Path

from benchmarks.density.agreement import assess
from benchmarks.density.plane import WIDE
from benchmarks.density.trained import trained
from benchmarks.shared.pyplot import pyplot
from benchmarks.shared.tables import table

WIDTHS = (2, 4, 16, 64, 512)


def draw(found: list[dict], path: Path) -> None:
    """Agreement and SIGReg against K."""
    plt = pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), constrained_layout=True)
    for kind in ("score", "corrected"):
        axes[0].plot(WIDTHS, [f[kind]["spearman"] for f in found], marker="o", label=kind)
    axes[0].set_ylabel("Spearman with log p")
    axes[0].set_ylim(0, 1.02)
    axes[0].legend()
    axes[1].plot(WIDTHS, [f["sigreg"] for f in found], marker="o")
    axes[1].axhline(1.06, color="k", lw=0.8)
    axes[1].set_yscale("log")
    axes[1].set_ylabel("held-out SIGReg; its floor")
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set_xlabel("K, of data in D = 2")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def run(out: Path) -> tuple[dict, str]:
    """The record and the page; the figure is drawn."""
    rows, found = [], []
    for k in WIDTHS:
        changes = {"encoder.embedding": k, **(WIDE if k > 2 else {}), "seed": 0}
        measured = assess(*trained("plane-gaussian", changes))
        found.append(measured)
        rows.append(
            [k]
            + [f"{measured[kind]['spearman']:.3f}" for kind in ("score", "corrected")]
            + [f"{measured[kind]['pearson']:.3f}" for kind in ("score", "corrected")]
            + [f"{measured['sigreg']:.3g}", f"{measured['effective_rank']:.1f}"]
        )
    draw(found, out / "width.png")
    header = ["K", "Spearman, score", "corrected", "Pearson, score", "corrected"]
    header += ["SIGReg at 5,000 points (floor 1.06)", "effective rank"]
    cases = dict(zip(WIDTHS, found, strict=True))
    return {"points": 5000, "cases": cases}, table(header, rows)
