"""Scores at every precision, and what they say beside float32's."""

import numpy as np
from PIL import Image
from scipy.stats import kendalltau, spearmanr

from jepa_jax import Exact, Scorer
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.products import PRECISIONS

# Images that a line from one precision's scores to float32's is fitted on.
FITTED = 16


def scores_at_every_precision(
    encoder: Encoder, images: dict[str, list[Image.Image]], split: int
) -> dict[str, np.ndarray]:
    """Scores (N,) by precision, group after group, and "condition": log10 of sigma's range.

    NaN where a split precision was not computed: all but the first `split` images of a group.
    """
    inputs = np.stack([encoder.preprocess(i) for group in images.values() for i in group])
    count = len(next(iter(images.values())))
    first = np.arange(len(inputs)) % count < split
    found: dict[str, np.ndarray] = {}
    for precision in PRECISIONS:
        some = first if precision.endswith("x3") else np.ones(len(inputs), bool)
        scorer = Scorer(encoder, Exact(spectrum=True), precision=precision)
        scores = scorer.score(inputs[some])
        found[precision] = np.full(len(inputs), np.nan)
        found[precision][some] = scores.jepa_score
        print(f"{precision}: {some.sum()} images", flush=True)
        if precision == "highest":
            assert scores.singular_values is not None
            values = np.sort(scores.singular_values, axis=1)[:, ::-1]
            smallest = values[np.arange(len(values)), scores.rank - 1]
            found["condition"] = np.log10(values[:, 0] / smallest)
    return found


def record(encoder: Encoder, scores: dict[str, np.ndarray], count: int) -> dict:
    """The figures of every precision against "highest", nats."""
    exact, condition = scores["highest"], scores["condition"]
    group = np.arange(len(exact)) // count  # Photographs, textures, odd.
    rows = {}
    for precision in PRECISIONS[1:]:
        known = np.isfinite(scores[precision])
        ours, theirs, which = scores[precision][known], exact[known], group[known]
        error = ours - theirs
        ill = condition[known] > np.median(condition[known])
        rows[precision] = {
            "images": int(known.sum()),
            "bias": error.mean(),
            "sd": error.std(ddof=1),
            "largest": np.abs(error).max(),
            "bias_well_conditioned": error[~ill].mean(),
            "bias_ill_conditioned": error[ill].mean(),
            "sd_after_a_line": after_a_line(ours, theirs),
            "spearman": spearmanr(ours, theirs).statistic,
            "spearman_photographs": spearmanr(ours[which == 0], theirs[which == 0]).statistic,
            "kendall": kendalltau(ours, theirs).statistic,
            "auroc_shift": auroc(ours, which) - auroc(theirs, which),
        }
    return {
        "encoder": {
            "embedding": str(encoder.rule),
            "image_size": encoder.image_size,
            "fingerprint": encoder.fingerprint,
        },
        "groups": ["photographs", "textures", "odd"],
        "images_a_group": count,
        "sd_of_scores": exact.std(ddof=1),
        "sd_of_scores_of_photographs": exact[group == 0].std(ddof=1),
        "auroc_photographs_against_odd": auroc(exact, group),
        "precisions": rows,
        "scores": {name: values.tolist() for name, values in scores.items()},
    }


def after_a_line(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> float:
    """Standard deviation of what a line, fitted on `FITTED` random images, leaves on the others."""
    order = np.random.default_rng(seed).permutation(len(ours))
    fitted, others = order[:FITTED], order[FITTED:]
    if len(others) < 2:
        return float("nan")
    slope, offset = np.polyfit(ours[fitted], theirs[fitted], 1)
    return float((theirs[others] - slope * ours[others] - offset).std(ddof=1))


def auroc(scores: np.ndarray, group: np.ndarray) -> float:
    """The chance that a photograph scores higher than an odd image."""
    inside, outside = scores[group == 0], scores[group == 2]
    return float((inside[:, None] > outside[None, :]).mean())


def page(found: dict) -> str:
    """The figures as a page."""
    encoder, rows = found["encoder"], found["precisions"]
    lines = [
        f"# Exact scores at lower precision, {encoder['image_size']} px, embedding "
        f"{encoder['embedding']}",
        "",
        f"{found['images_a_group']} images of each group ({', '.join(found['groups'])}); float32's "
        f"scores have a standard deviation of {found['sd_of_scores']:.1f} nats, of photographs "
        f"{found['sd_of_scores_of_photographs']:.1f}. Errors are nats, against `highest`.",
        "",
        "| precision | images | bias | sd | largest | bias, well / ill conditioned half "
        "| sd after a line | Spearman, all / photographs | Kendall | AUROC shift |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, r in rows.items():
        lines.append(
            f"| {name} | {r['images']} | {r['bias']:.3f} | {r['sd']:.3f} | {r['largest']:.3f} | "
            f"{r['bias_well_conditioned']:.3f} / {r['bias_ill_conditioned']:.3f} | "
            f"{r['sd_after_a_line']:.3f} | {r['spearman']:.5f} / {r['spearman_photographs']:.5f} | "
            f"{r['kendall']:.4f} | {r['auroc_shift']:+.3f} |"
        )
    return "\n".join(lines)
