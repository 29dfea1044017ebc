"""Scores at every precision, and what they say beside float32's."""

from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, spearmanr

from benchmarks.precision.groups import GROUPS, records
from jepa_jax import Exact, Scorer
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.estimators import Line
from jepa_jax.precisions import PRECISIONS
from jepa_jax.store.folder import shard_paths
from jepa_jax.store.shards import read_rows

# Images that a line from one precision's scores to float32's is fitted on.
FITTED = 16


def compute(encoder: Encoder, out: Path, precision: str, count: int) -> None:
    """Exact scores and spectra of `count` images of each group into OUT/PRECISION, continued where
    some are there."""
    scorer = Scorer(encoder, Exact(), precision=precision)
    summary = scorer.run(
        records(count, encoder.image_size),
        out / precision,
        store=("spectrum",),
        on_row=lambda row: print(f"{precision}: {row['id']}", flush=True),
    )
    print(f"{precision}: {summary.scored} images, {summary.resumed} were there", flush=True)


def scores_in(out: Path) -> dict[str, dict[str, dict]]:
    """The rows that have a score, by precision and id: those of a run that is under way, too."""
    found = {}
    for precision in PRECISIONS:
        rows = [row for path in shard_paths(out / precision) for row in read_rows(path)]
        if rows:
            found[precision] = {row["id"]: row for row in rows if row["status"] == "ok"}
    return found


def record(encoder: Encoder, found: dict[str, dict[str, dict]]) -> dict:
    """The figures of every precision against "highest", nats."""
    exact = found["highest"]
    score = {i: row["jepa_score"] for i, row in exact.items()}
    # log10 of the largest singular value over the smallest that counts.
    condition = {i: np.ptp(row["spectrum"]) / np.log(10) for i, row in exact.items()}
    rows = {}
    for precision, own in found.items():
        ids = sorted(own.keys() & score.keys())
        if precision == "highest" or len(ids) < 3:
            continue
        ours = np.array([own[i]["jepa_score"] for i in ids])
        theirs = np.array([score[i] for i in ids])
        group = np.array([i.rpartition("-")[0] for i in ids])
        rows[precision] = figures(ours, theirs, group, np.array([condition[i] for i in ids]))
    values, group = np.array(list(score.values())), np.array([i.rpartition("-")[0] for i in score])
    return {
        "encoder": {
            "embedding": str(encoder.rule),
            "image_size": encoder.image_size,
            "fingerprint": encoder.fingerprint,
        },
        "images": len(score),
        "sd_of_scores": values.std(ddof=1),
        "sd_of_scores_of_photographs": values[group == "photographs"].std(ddof=1),
        "auroc_photographs_against_odd": auroc(values, group),
        "median_condition": float(np.median(list(condition.values()))),
        "precisions": rows,
        "scores": {p: {i: r["jepa_score"] for i, r in own.items()} for p, own in found.items()},
        "condition": condition,
    }


def figures(
    ours: np.ndarray, theirs: np.ndarray, group: np.ndarray, condition: np.ndarray
) -> dict[str, float]:
    """One precision's scores beside float32's of the same images."""
    error, ill = ours - theirs, condition > np.median(condition)
    row: dict[str, float] = {
        "images": len(ours),
        "bias": error.mean(),
        "sd": error.std(ddof=1),
        "largest": np.abs(error).max(),
        "bias_well_conditioned": error[~ill].mean(),
        "bias_ill_conditioned": error[ill].mean(),
        "sd_well_conditioned": error[~ill].std(),
        "sd_ill_conditioned": error[ill].std(),
        "spearman": spearmanr(ours, theirs).statistic,
        "kendall": kendalltau(ours, theirs).statistic,
        "auroc_shift": auroc(ours, group) - auroc(theirs, group),
        **after_a_line(ours, theirs),
    }
    for name in GROUPS:
        own = group == name
        row[f"bias_{name}"] = error[own].mean() if own.any() else float("nan")
        row[f"sd_{name}"] = error[own].std(ddof=1) if own.sum() > 1 else float("nan")
        row[f"spearman_{name}"] = (
            spearmanr(ours[own], theirs[own]).statistic if own.sum() > 2 else float("nan")
        )
    return row


def after_a_line(ours: np.ndarray, theirs: np.ndarray, seeds: int = 20) -> dict[str, float]:
    """What `Line`, fitted on `FITTED` random images, leaves on the others, over `seeds` draws: the
    standard deviation, and the share within two of its standard errors."""
    left, inside = [], []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(ours))
        fitted, others = order[:FITTED], order[FITTED:]
        if len(others) < FITTED // 2:
            return {"sd_after_a_line": float("nan"), "within_two_errors": float("nan")}
        value, error = Line.fit(ours[fitted], theirs[fitted]).predict(ours[others])
        rest = np.asarray(value, np.float64) - theirs[others]
        left.append(np.square(rest).mean())
        inside.append((np.abs(rest) < 2 * np.asarray(error)).mean())
    return {
        "sd_after_a_line": float(np.sqrt(np.mean(left))),
        "within_two_errors": float(np.mean(inside)),
    }


def auroc(scores: np.ndarray, group: np.ndarray) -> float:
    """The chance that a photograph scores higher than an odd image."""
    inside, outside = scores[group == "photographs"], scores[group == "odd"]
    if not len(inside) or not len(outside):
        return float("nan")
    return float((inside[:, None] > outside[None, :]).mean())
