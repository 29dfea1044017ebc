"""A comparison as a table of text or Markdown."""

import math
from collections.abc import Sequence

from jepa_jax.evaluation.comparison import Comparison


def table(comparison: Comparison, outliers: str) -> list[list[str]]:
    """The header and a line a method for one outlier set, as text."""
    percent = f"{comparison.confidence:.0%}"
    header = [
        "method",
        "AUROC",
        f"{percent} interval",
        "like size",
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
        matched = method.matched.get(outliers, math.nan)
        like = "" if math.isnan(matched) else f"{matched:.3f}"
        interval = f"{low:.3f} to {high:.3f}"
        lines.append([method.name, f"{m.auroc:.3f}", interval, like, *figures, time])
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
