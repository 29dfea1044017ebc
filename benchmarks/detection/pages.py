"""The Markdown beside the figures."""

from jepa_jax.evaluation.comparison import Comparison
from jepa_jax.evaluation.tables import markdown, table

# AUROC of JEPA-SCORE, CIFAR-10 against each, n = 500 a side for S and 200 for the others.
PUBLISHED = {
    "dinov2-small": {"svhn": 0.841, "cifar100": 0.638, "dtd": 0.995},
    "dinov2-base": {"svhn": 0.673},
    "dinov2-large": {"svhn": 0.477, "cifar100": 0.566, "dtd": 0.810},
    "metaclip-b16-fullcc2.5b": {"svhn": 0.020, "cifar100": 0.527, "dtd": 0.978},
}
LEGEND = (
    "AUROC: the probability that an inlier scores higher than an outlier (.5: guessing), with a "
    "95 % bootstrap interval over the tested images; like size: among images of a like JPEG size, "
    "within its quartiles. AUPR-in and -out: inliers and outliers as the "
    "positive class. FPR95-in: outliers accepted where 95 % of the inliers are. FPR95-out: inliers "
    "rejected where 95 % of the outliers are. ms/image: what the method reads, and the method "
    "itself, warm."
)


def _auroc(figures: dict) -> str:
    low, high = figures["auroc"]["interval"]
    return f"{figures['auroc']['value']:.3f} ({low:.3f} to {high:.3f})"


def _grid(record: dict, sets: list[str]) -> str:
    """Methods by outlier sets: AUROC alone."""
    lines = [["method", *sets]]
    for method in record["methods"]:
        each = [f"{method['outliers'][name]['auroc']['value']:.3f}" for name in sets]
        lines.append([method["name"], *each])
    return markdown(lines)


def embedded(result: dict, comparison: Comparison) -> str:
    """AUROC of all methods and sets, the same distribution twice, and each set in full."""
    record = result["evaluation"]
    sizes = record["sizes"]
    sets = [n for n in sizes if n not in ("reference", "inliers")]
    near = [
        f"{n['images']} of {n['sets'][0]} like one of {n['sets'][1]}"
        for n in record["near_duplicates"]
    ]
    heading = ["method", "mean AUROC", "lowest", "highest", "95 % interval holds .5"]
    same = [[*heading, "fresh digits", "simultaneous interval"]]
    for row, once in zip(result["same_distribution"], result["simultaneous"], strict=True):
        figures = [f"{row[k]:.3f}" for k in ("mean", "lowest", "highest")]
        low, high = once["interval"]
        figures += [f"{row['interval_holds_half']:.0%}", f"{once['auroc']:.3f}"]
        same.append([row["method"], *figures, f"{low:.3f} to {high:.3f}"])
    parts = [
        "# Outliers of MNIST digits, by the embedded encoder",
        "`python -m benchmarks.detection embedded`. The embedded encoder is a toy (0.2 M "
        "parameters, trained on 4,500 digits): this tries the tools, it says nothing of pretrained "
        f"encoders. Reference: {sizes['reference']} training digits; inliers: {sizes['inliers']} "
        "held-out digits; no image is in two sets, checked by pixels"
        + (f" (nearly the same: {', '.join(near)})" if near else "")
        + ".",
        "![AUROC with intervals](embedded.png)",
        "## AUROC",
        _grid(record, sets),
        LEGEND.removesuffix(".") + ", on one CPU core shared with other work.",
        "## The same distribution twice",
        "Held-out digits cut into random halves 100 times, one half as outliers: every method must "
        "be at .5, and its interval hold .5 in about 95 % of the halvings. Then the set of fresh "
        "digits of the table above, with intervals that hold for all methods at once (95 %, "
        "Bonferroni).",
        markdown(same),
    ]
    if record["left_out"]:
        parts += [f"Left out: {record['left_out']}"]
    for name in sets:
        parts += [f"## {name} ({sizes[name]} images)", markdown(table(comparison, name))]
    return "\n\n".join(parts)


def pretrained(result: dict, comparison: Comparison) -> str:
    """The groups, then curves of the corruptions, then solar cells."""
    record, sizes = result["evaluation"], result["evaluation"]["sizes"]
    curves = {kind: [f"{kind} {s:g}" for s in each] for kind, each in result["strengths"].items()}
    spoiled = {name for names in curves.values() for name in names}
    sets = [n for n in sizes if n not in ("reference", "inliers") and n not in spoiled]
    known = [n for n in result["exact"]["sizes"] if n not in ("reference", "inliers")]
    parts = [
        "# Outliers of animals, by a pretrained encoder",
        f"Cut-out animals of Debian's stamps, {sizes['reference']} as reference and "
        f"{sizes['inliers']} others as inliers, by {result['encoder']}, {result['image_size']} px. "
        f"Scores are of a sketch of {result['cotangents']} cotangents, calibrated on "
        f"{result['calibrated_on']} images of the reference.",
        "![AUROC with intervals](pretrained.png)",
        "## AUROC against other things",
        ", ".join(f"{name}: {sizes[name]} images" for name in sets) + ".",
        _grid(record, sets),
        LEGEND,
        "## The sketch's score and the exact one",
        "Of the same images.",
        _grid(result["exact"], known),
        "## Cleaning: a tenth of the animals is something else",
        "The share of what is removed that does not belong, where as many of the lowest exact "
        "scores are removed as do not belong (a tenth of all animals, or as many as the kind has); "
        "what is fitted is fitted on the mess itself. Means over 20 draws, with their standard "
        "deviation.",
        _contaminated(result["contaminated"]),
    ]
    parts += ["## The same animals, spoiled", "![AUROC by strength](pretrained-curves.png)"]
    for kind, names in curves.items():
        parts += [
            f"## {kind}: AUROC against the same animals, spoiled",
            f"{sizes[names[0]]} inliers with a corruption, from weak to strong "
            "(`benchmarks/detection/corruptions.py`).",
            _grid(record, names),
        ]
    if "cells" in result:
        cells = result["cells"]
        parts += [
            "## Solar cells: those that work against defective ones",
            f"{cells['sizes']['reference']} that work as reference, {cells['sizes']['inliers']} as "
            f"inliers, {cells['sizes']['defective']} that do not. The sketch was calibrated on "
            "animals all the same.",
            _grid(cells, ["defective"]),
        ]
    return "\n\n".join(parts)


def _contaminated(rows: list[dict]) -> str:
    lines = [["method", *rows[0]["kinds"]]]
    for row in rows:
        lines.append([row["method"], *[f"{m:.2f} +- {sd:.2f}" for m, sd in row["kinds"].values()]])
    return markdown(lines)


def spectra(result: dict, comparison: None) -> str:
    """Published and reproduced AUROC, and what else a spectrum gives."""
    parts = [
        "# Published scores of DINOv2, with intervals",
        "`python -m benchmarks.detection spectra --data FOLDER`. Singular values of the input "
        "Jacobian saved by the public repository itsanderz/jepa-score-eval; CIFAR-10 as inliers. "
        "One-sided methods fit nothing, and are tested on all images (500 a set for ViT-S, 200 for "
        "ViT-L); two-sided ones take the median of one random half of CIFAR-10, and are tested on "
        "the other. 95 % bootstrap intervals.",
    ]
    for title, found in result.items():
        if not isinstance(found, dict) or "published" not in found:
            continue
        sets = list(found["published"])
        lines = [["one-sided, all images", *sets]]
        lines.append(["published", *[f"{found['published'][s]:.3f}" for s in sets]])
        for method in found["all"]["methods"]:
            name = method["name"].removesuffix(", one-sided")
            lines.append([name, *[_auroc(method["outliers"][s]) for s in sets]])
        halves = [["on half of CIFAR-10", *sets]]
        for method in found["halves"]["methods"]:
            halves.append([method["name"], *[_auroc(method["outliers"][s]) for s in sets]])
        parts += [f"## {title}", markdown(lines), markdown(halves)]
    return "\n\n".join(parts)


def leakage(result: dict, comparison: None) -> str:
    """Leaky and fair AUROC side by side."""
    parts = [
        "# Fitted and tested on the same images",
        "`python -m benchmarks.detection leakage --data FOLDER`. *Fresh images of the inliers' "
        "own distribution* stand in the outliers' place: nothing can be detected, and AUROC must "
        "be .5. Leaky: the inliers are the images that the detector was fitted on, as in the "
        "published evaluation of Mahalanobis (1.000) and k-NN (.965). Fair: they are others. "
        "Means of random draws (20; 5 of the normal distribution), and the range of the fair ones.",
    ]
    for found in result.values():
        if not isinstance(found, dict) or "rows" not in found:
            continue
        lines = [["method", "fitted on", "leaky AUROC", "fair AUROC", "range"]]
        for row in found["rows"]:
            figures = [f"{row[k]:.3f}" for k in ("leaky", "fair")]
            span = f"{row['fair_lowest']:.2f} to {row['fair_highest']:.2f}"
            lines.append([row["method"], str(row["fitted_on"]), *figures, span])
        parts += [f"## {found['pool']}, K = {found['dimensions']}", markdown(lines)]
    return "\n\n".join(parts)


def folders(result: dict, comparison: Comparison) -> str:
    """Every set in full, the published figure beside it where there is one."""
    record = result["evaluation"]
    sizes = record["sizes"]
    published = PUBLISHED.get(result["encoder"], {})
    parts = [f"# {result['encoder']}", LEGEND, "![AUROC](folders.png)"]
    for name in comparison.outliers:
        beside = f" Published, one-sided: {published[name]:.3f}." if name in published else ""
        parts += [
            f"## {name}",
            f"{sizes['inliers']} inliers, {sizes[name]} outliers.{beside}",
            markdown(table(comparison, name)),
        ]
    return "\n\n".join(parts)
