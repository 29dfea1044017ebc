"""The Markdown beside the figures."""

from collections.abc import Mapping, Sequence

from benchmarks.frontier.rows import LEGEND, Row, accuracy_table
from benchmarks.shared.tables import table

# At so many times fewer VJPs: the rank correlation wanted of the full sketch.
RANKING = ((4, 0.999), (8, 0.99), (12, 0.98), (16, 0.99), (32, 0.98))


def images(found: Mapping[str, int]) -> str:
    """How many images of every group."""
    return ", ".join(f"{count} {name}" for name, count in found.items())


def picture(name: str) -> str:
    """The figure's line."""
    return f"![accuracy against cost]({name}.png)"


# Heading, key, digits.
OTHERS = (
    ("p", "p", 0),
    ("group", "group", 0),
    ("images", "images", 0),
    ("bias", "bias", 1),
    ("bias / score's sd", "shift", 2),
    ("rmse", "rmse", 1),
    ("within 1 error", "coverage_1", 2),
    ("1.96", "coverage_1.96", 2),
    ("flagged", "flagged", 2),
    ("AUROC, exact", "auroc", 3),
    ("estimated", "auroc_estimated", 3),
)
CASCADE = (
    ("p", 0),
    ("images", 0),
    ("draws", 0),
    ("rescored", 3),
    ("of these flagged", 3),
    ("VJPs an image", 1),
    ("speedup", 1),
    ("images in 1 %", 0),
    ("recovered", 3),
    ("worst draw", 3),
    ("without rescoring", 3),
    ("images in 5 %", 0),
    ("recovered", 3),
    ("worst draw", 3),
    ("without rescoring", 3),
)


def cascade_table(rows: Sequence[Mapping]) -> str:
    """What the cascade recovers of the exact lowest 1 % and 5 %."""
    lines = []
    for r in rows:
        head = [r["p"], round(r["images"]), r["repeats"], r["rescored"], r["flagged"]]
        tails = [
            (round(r[f"lowest_{s}"]), r[f"recovered_{s}"], r[f"worst_{s}"], r[f"sketch_{s}"])
            for s in ("1%", "5%")
        ]
        lines.append([*head, r["cost"], r["speedup"], *tails[0], *tails[1]])
    return table(CASCADE, lines)


def spectra(result: dict) -> str:
    """Of `spectra.run`."""
    parts = [
        "# Accuracy against cost on real spectra",
        "Singular values of real DINOv2 encoders at 224 px, random singular vectors: the worst "
        "case for a fixed sketch, which here learns nothing of directions and has no covariates. "
        "Calibrated on 128 images of all groups, tested on others, every image once.",
        picture("spectra"),
        LEGEND,
    ]
    for name, found in result["tables"].items():
        parts += [
            f"## {name}",
            f"{images(found['images'])}; {found['live']} live dimensions; in distribution: "
            f"cifar10, whose scores have a sd of {found['score_sd']:.1f} nats.",
            accuracy_table(found["rows"]),
        ]
    parts += [
        "## Cascade",
        "ViT-S/14, 500 images in distribution, sketch by its spectrum alone; the lowest 5 % and "
        "flagged images are then scored exactly. Means over draws of images' singular vectors, "
        "cotangents and folds.",
        cascade_table(result["cascade"]),
    ]
    return "\n\n".join(parts)


def grams(result: dict) -> str:
    """Of `grams.run`."""
    rows: list[Row] = result["rows"]
    others = [[o.get(key) for _, key, _ in OTHERS] for o in result["others"]]
    parts = [
        "# Accuracy against cost on real Jacobians",
        f"Exact Gram matrices of a pretrained ViT-S/14 at 112 px: {images(result['images'])}; "
        f"{result['live']} live dimensions. In distribution: animal, whose scores have a sd of "
        f"{result['score_sd']:.1f} nats. The sketch is calibrated on 127 images of all groups and "
        f"tested on others, every image once, in 8 folds; means over {result['seeds']} draws of "
        "cotangents and folds. The covariates' own cost is not in VJPs: see embedded.md "
        "for it by wall clock.",
        picture("grams"),
        LEGEND,
        accuracy_table(rows),
        "## Targets",
        targets(rows),
        "## Blocks of features",
        "The rows `Sketch` above have all of them: also tokens and the embedding.",
        accuracy_table(result["ablations"]),
        "## Calibration images",
        accuracy_table(result["sizes"]),
        "## Calibrated on one group",
        "On 90 images of `animal` alone. `animal`: held out, every image once. Other groups: "
        "AUROC of held-out animals against them.",
        table([(name, digits) for name, _, digits in OTHERS], others),
        "## Cascade",
        "All images, held out; the lowest 5 % and flagged images are then scored exactly. The 1 % "
        "is two images: spectra.md has a larger check.",
        cascade_table(result["cascade"]),
    ]
    return "\n\n".join(parts)


def rivals(result: dict) -> str:
    """Of `rivals.run`."""
    parts = [
        "# Published rivals on real Jacobians",
        f"{result['images']} of the 152 Gram matrices of grams.md, whose rows these are to be read "
        "beside. Their papers: benchmarks/frontier/rivals.py. One key an image; no calibration.",
        LEGEND,
        accuracy_table(result["rows"]),
    ]
    return "\n\n".join(parts)


def targets(rows: Sequence[Row]) -> str:
    """Measured figures of the full sketch beside what is wanted of them."""
    sketch = {round(1 / r.share): r.figures for r in rows if r.method == "Sketch"}
    lines: list[tuple] = []

    def add(what: str, times: int, wanted: float, found: float, most: bool) -> None:
        reached = found <= wanted if most else found >= wanted
        lines.append((what, times, wanted, found, "yes" if reached else "no"))

    for times, least in RANKING:
        add(
            "rank correlation in distribution, at least", times, least, figure(sketch, times), False
        )
        pooled = figure(sketch, times, "spearman_pooled")
        add("rank correlation pooled, at least", times, least, pooled, False)
    for times in (8, 12, 16):
        f = sketch[times]
        add("error's sd / score's sd, at most", times, 0.12, f["sd_share"], True)
        gap = abs(f["predicted_rmse"] / f["rmse"] - 1)
        add("predicted / measured rmse, off by at most", times, 0.15, gap, True)
        add("any group's shift / score's sd, at most", times, 0.1, f["largest_shift"], True)
        add("any group's AUROC shift, at most", times, 0.01, f["largest_auroc_shift"], True)
    names = (("", 0), ("times fewer VJPs", 0), ("target", 3), ("measured", 4), ("reached", 0))
    return table(names, lines)


def figure(sketch: Mapping[int, Mapping], times: int, name: str = "spearman") -> float:
    """A figure of the sketch at so many times fewer VJPs."""
    return float(sketch[times][name])


def limit(result: dict) -> str:
    """Of `limit.run`."""
    header = [("p", 0), ("times fewer VJPs", 1), ("method", 0), ("calibration images", 0)]
    header += [("error's sd / score's sd", 3), ("Spearman", 4)]
    return "\n\n".join(
        (
            "# What a few rows know of a spectrum",
            "Real spectra of DINOv2 ViT-S/14 with uniformly random singular vectors, no "
            "covariates: the best that can be predicted from p rows is a function of their "
            "singular values. The package's ridge regression on 128 images, beside a nonlinear "
            f"one on {result['simulated']} simulated ones; means over {result['repeats']} draws of "
            f"{result['test']} test images in distribution. Real Jacobians are kinder: their "
            "singular vectors have much in common, and the covariates know more (grams.md).",
            table(header, [list(row.values()) for row in result["rows"]]),
        )
    )


def orthogonality(result: dict) -> str:
    """Of `orthogonality.run`."""
    header = ["encoder", ("condition", 0), ("score", 1), ("quadrature", 1)]
    header += [("one side moves it by", 4), ("neither by", 1)]
    return "\n\n".join(
        (
            "# Which bases of a bidiagonalisation must be orthogonalised anew",
            "Real spectra of DINOv2 (rows of median and of largest condition), random singular "
            f"vectors, float32, {result['steps']} steps: the quadrature with both bases "
            f"orthogonalised anew (nats, mean of {result['starts']} starting vectors), and the "
            "most that it moves by where only the smaller side's is, and where neither is.",
            table(header, [list(row.values()) for row in result["rows"]]),
        )
    )


def encoder(name: str, result: dict) -> str:
    """Of `wall_clock.run_embedded` and `run_folder`."""
    free = result["covariates_alone"]
    live = result["encoder"]["live"]
    parts = [
        f"# Accuracy against wall clock: {result['name']}",
        f"{images(result['images'])}; {live} live dimensions; exact scores in distribution have a "
        f"sd of {result['score_sd']:.1f} nats. Calibrated on {result['calibration']} other images. "
        f"Seconds: medians of {result['repeats']} turns through all methods in one process; `of "
        "exact` and `speedup` are medians of ratios within a turn. The covariates with their "
        f"forward pass alone take {1e3 * free['seconds']:.2f} ms, {free['fraction_of_exact']:.2f} "
        "of exact; without depth they are by-products of the pass that a VJP needs.",
        picture(name),
        LEGEND.replace("Cost in VJPs, a JVP counted as 1.5; exact: one VJP a live dimension. ", ""),
        accuracy_table(
            result["rows"], [("ms an image", 2)], lambda r: (1e3 * r.figures["seconds"],)
        ),
    ]
    return "\n\n".join(parts)
