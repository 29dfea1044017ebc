"""How the correlation depends on K, with and without the second term.

    python benchmarks/density/width.py

trains Gaussian encoders of the 2-D mixture (K = 2 to 512) and of the 32-dimensional one (K = 2 to
128), and writes width.json, width.md and width.png. RESULT
"""

import matplotlib
import numpy as np
from common import HERE, assess, markdown, trained, write
from plane import WIDE

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PLANE = (2, 4, 16, 64, 512)
MIXTURE = (2, 8, 32, 128)


def case(dimension: int, k: int):
    """Configuration and changes; those of plane.py and mixture32.py where there is one."""
    if dimension == 2:
        return "plane-gaussian", {"encoder.embedding": k, **(WIDE if k > 2 else {}), "seed": 0}
    return "mixture-32", {"encoder.embedding": k, "seed": 0}


def main() -> None:
    rows, record = [], {}
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, constrained_layout=True)
    for ax, (dimension, widths) in zip(axes, {2: PLANE, 32: MIXTURE}.items(), strict=True):
        found = []
        for k in widths:
            training, model = trained(*case(dimension, k))
            measured = assess(training, model)
            found.append(measured)
            record[f"D = {dimension}, K = {k}"] = measured
            rows.append(
                [dimension, k]
                + [f"{measured[kind]['spearman']:.3f}" for kind in ("score", "corrected")]
                + [f"{measured[kind]['pearson']:.3f}" for kind in ("score", "corrected")]
                + [f"{measured['sigreg']:.3g}", f"{measured['effective_rank']:.1f}"]
            )
        for kind in ("score", "corrected"):
            ax.plot(widths, [f[kind]["spearman"] for f in found], marker="o", label=kind)
        ax.axvline(dimension, color="k", lw=0.6, ls=":")
        ax.set_xscale("log", base=2)
        ax.set_xlabel("K")
        ax.set_title(f"D = {dimension}")
        ax.legend()
    axes[0].set_ylabel("Spearman with log p")
    axes[0].set_ylim(min(0, np.min([ax.get_ylim()[0] for ax in axes])), 1.02)
    figure.savefig(HERE / "width.png", dpi=80)
    header = ["D", "K", "Spearman, score", "corrected", "Pearson, score", "corrected"]
    header += ["SIGReg at 5,000 points (floor 1.06)", "effective rank"]
    write("width", {"points": 5000, "cases": record}, markdown(header, rows))


if __name__ == "__main__":
    main()
