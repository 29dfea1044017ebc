"""The methods on real Gram matrices: blocks, calibration sizes, other groups, the cascade."""

from pathlib import Path

import numpy as np

from benchmarks.frontier import methods
from benchmarks.frontier.held_out import (
    Part,
    cascade_row,
    folds,
    held_out,
    measure_sketch,
    other_methods,
    split,
)
from benchmarks.frontier.metrics import auroc_of, by_group, cascade, mean_of
from benchmarks.frontier.rows import Row, row
from jepa_jax.encoders.covariates import LEVELS
from jepa_jax.estimators.sketch.measurement import Measurement

FILE = "grams_vits14_112.npz"
INSIDE = "animal"
K = 384
COUNTS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 191)
# 152 images in 8 folds of 19 leave 133 to calibrate on.
FOLDS, SIZES = 8, (64, 100, 127)
# Of the first: "spectrum" alone, and so on.
BLOCKS = ("spectrum", "depth", "norms", "tokens", "embedding")
ABLATIONS = {
    "Sketch, spectrum alone": BLOCKS[:1],
    "Sketch, spectrum + depth": BLOCKS[:2],
    "Sketch, spectrum + depth + norms": BLOCKS[:3],
}
ABLATED = (16, 24, 32, 48, 64, 96)
OTHERS_AT = (32, 48, 64)


def load(path: Path):
    """((matrices L, exact scores, groups), null directions, covariates)."""
    with np.load(path) as data:
        stored = {name: data[name] for name in data}
    count = len(stored["score"])
    matrices = np.zeros((count, K, K), np.float32)
    matrices[(slice(None), *np.tril_indices(K))] = stored["chol"]
    weight, bias, z = stored["norm_weight"], stored["norm_bias"], stored["embedding"]
    # The centring and the scaling of the LayerNorm, orthonormalised.
    pair = np.stack([np.broadcast_to(1 / weight, z.shape), ((z - bias) / weight) / weight], -1)
    nulls = np.linalg.qr(pair.astype(np.float64))[0].astype(np.float32)
    data = matrices, stored["score"], stored["group"]
    return data, nulls, _covariates(stored)


def _covariates(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As `jepa_jax.encoders.covariates` gives them for a CLS embedding."""
    states = stored["layer_features"].astype(np.float32)
    # The patch tokens leaving the last block are not computed for a CLS embedding.
    summaries = np.concatenate([states[:, :, 0], states[:, :-1, 1]], axis=1)
    parts = []
    for level in range(2):  # The final norm, the last block.
        logs = stored["depth_log_eigs"][:, level].astype(np.float64)[:, ::-1]
        at = [round(level * (logs.shape[1] - 1)) for level in LEVELS]
        parts.append(np.concatenate([0.5 * logs.sum(1, keepdims=True), logs[:, at]], axis=1))
    found = {
        "depth": np.concatenate(parts, axis=1),
        "norms": 0.5 * np.log(np.square(summaries).sum(-1)),
        "tokens": summaries.reshape(len(states), -1),
        "embedding": stored["embedding"],
    }
    return {name: block.astype(np.float32) for name, block in found.items()}


def run(path: Path, seeds: int) -> dict:
    """Everything on the Gram matrices, `seeds` choices of cotangents and folds."""
    data, nulls, covariates = load(path)
    matrices, scores, groups = data
    live = K - nulls.shape[2]
    found = methods.measured(matrices, nulls)
    rows = other_methods(data, nulls, found.score, live, INSIDE, COUNTS)

    def splits(size: int, most: int, random: bool = False) -> list[list[Part]]:
        return [
            split(groups, found, covariates, most, live, (FOLDS, size, seed), random)
            for seed in range(seeds)
        ]

    def add(parts: list[list[Part]], method: str, blocks, p: int, setting: str = "") -> Row:
        figures = measure_sketch(data, covariates, parts, blocks, p, INSIDE)
        made = row(method, setting or f"p = {p}", p, live, figures)
        print(f"  {made.line()}", flush=True)
        return made

    whole = splits(SIZES[-1], max(COUNTS))
    rows += [add(whole, "Sketch", BLOCKS, p) for p in COUNTS]
    ablations = [add(whole, name, blocks, p) for name, blocks in ABLATIONS.items() for p in ABLATED]
    random = splits(SIZES[-1], max(ABLATED), random=True)
    ablations += [add(random, "Sketch, random cotangents", BLOCKS, p) for p in ABLATED]
    sizes = []
    for size in SIZES[:-1]:
        fewer = splits(size, max(OTHERS_AT))
        for p in OTHERS_AT:
            sizes.append(add(fewer, "Sketch", BLOCKS, p, f"p = {p}, {size} calibration images"))
    return {
        "images": {str(g): int((groups == g).sum()) for g in np.unique(groups)},
        "live": live,
        "score_sd": float(scores[groups == INSIDE].std()),
        "rows": rows,
        "ablations": ablations,
        "sizes": sizes,
        "others": others(data, found, covariates, live, seeds),
        "cascade": cascades(data, covariates, live, whole),
    }


def cascades(data, covariates, live: int, splits: list[list[Part]]) -> list[dict]:
    """The cascade on all images' held-out predictions."""
    matrices, scores, _ = data
    found = []
    for p in (32, 64):
        rows = []
        for parts in splits:
            predictions, _, flagged, _ = held_out(matrices, covariates, parts, BLOCKS, p)
            rows.append(cascade(predictions, scores, flagged))
        found.append(cascade_row(p, live, rows))
    return found


def others(data, measured: Measurement, covariates, live: int, seeds: int) -> list[dict]:
    """Calibrated on one group alone: errors, coverage and flags of it, held out, and of others.

    Every fold's calibration predicts its held-out images of the group and all other images; the
    figures of these are means over folds and seeds.
    """
    matrices, scores, groups = data
    here = groups == INSIDE
    names = [str(name) for name in np.unique(groups) if name != INSIDE]
    rows: dict[tuple[int, str], list[dict]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        fold = np.where(here, folds(groups, 10, rng), -1)
        parts = []
        for k in range(10):
            chosen = np.flatnonzero(here & (fold != k))
            samples = methods.sample(measured, covariates, chosen, max(OTHERS_AT), seed, live)
            parts.append(Part(np.flatnonzero((fold == k) | ~here), samples))
        for p in OTHERS_AT:
            kept = np.zeros((3, len(scores)))
            rest = []
            for k, (test, samples) in enumerate(parts):
                part = {name: block[test] for name, block in covariates.items()}
                estimate = methods.sketch(samples.fit(p).calibration, matrices[test], part)
                one = np.full((3, len(scores)), np.nan)
                one[:, test] = estimate.log_volume, estimate.std_error, estimate.flagged
                kept[:, fold == k] = one[:, fold == k]
                rest.append(one)
            inside = by_group(kept[0, here], scores[here], kept[1, here], kept[2, here])
            rows.setdefault((p, INSIDE), []).append(inside)
            for name in names:
                group = groups == name
                exact = auroc_of(scores[here], scores[group])
                for one in rest:
                    figures = by_group(one[0, group], scores[group], one[1, group], one[2, group])
                    estimated = auroc_of(kept[0, here], one[0, group])
                    figures |= {"auroc": exact, "auroc_estimated": estimated}
                    rows.setdefault((p, name), []).append(figures)
    found = []
    for p in OTHERS_AT:
        for name in (INSIDE, *names):
            merged = mean_of(rows[p, name])
            shift = {"shift": merged["bias"] / scores[here].std()}
            found.append({"p": p, "group": name, "images": int((groups == name).sum())})
            found[-1] |= merged | shift
    return found
