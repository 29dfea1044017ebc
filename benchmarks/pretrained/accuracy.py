"""Every method on recorded Jacobians: its error and its ranks beside the exact float32 score."""

import jax
import numpy as np

from benchmarks.frontier import methods, rivals
from benchmarks.frontier.held_out import measure_sketch, other_methods, split
from benchmarks.frontier.metrics import assess
from benchmarks.frontier.rows import Row, row
from benchmarks.pretrained.images import INSIDE
from benchmarks.pretrained.recording import Recorded
from jepa_jax import Hutchinson, Lanczos, XTrace
from jepa_jax.estimators.sketch.measurement import Measurement

COUNTS = (12, 16, 24, 32, 48, 64, 96)
FOLDS = 8
# Dearer than an exact score by far, and known to be no better than others here (frontier).
SKIPPED = (Lanczos(50, 16), Hutchinson(50, 4), Hutchinson(100, 8), XTrace(30, 12))
NARROW = ("row sketch, unscaled", "two moments, middle of the bounds")


def run(exact: Recorded, sizes: tuple[int, ...], seeds: int) -> dict:
    """The rows of every method; the sketch is calibrated on so many images of all groups.

    `sizes` beyond what the folds leave mean all that they leave.
    """
    live = exact.roots.shape[1] - exact.nulls.shape[2]
    data = (exact.roots, exact.scores, exact.groups)
    rows = sketches(exact, exact, live, sizes, seeds)
    rows += other_methods(data, exact.nulls, exact.scores, live, INSIDE, (24, 96), SKIPPED)
    rows += rivals.run(data, exact.nulls, INSIDE)
    here = exact.groups == INSIDE
    return {
        "images": {str(g): int((exact.groups == g).sum()) for g in np.unique(exact.groups)},
        "live": live,
        "score_sd": float(exact.scores[here].std()),
        "score_sd_pooled": float(exact.scores.std()),
        "seeds": seeds,
        "rows": [r for r in rows if r.method not in NARROW],
    }


def sketches(
    rows_of: Recorded, targets: Recorded, live: int, sizes: tuple[int, ...], seeds: int, name=""
) -> list[Row]:
    """The sketch of `rows_of`'s Jacobians, fitted to the scores of `targets`, tested on others."""
    most = len(targets.ids) - -(-len(targets.ids) // FOLDS)
    roots = methods.measured(rows_of.roots, rows_of.nulls).sketch
    found = Measurement(targets.scores.astype(np.float32), roots, {})
    data = (rows_of.roots, targets.scores, targets.groups)
    made = []
    for size in dict.fromkeys(min(size, most) for size in sizes):
        splits = [
            split(targets.groups, found, rows_of.covariates, max(COUNTS), live, (FOLDS, size, seed))
            for seed in range(seeds)
        ]
        for p in COUNTS:
            blocks = ("spectrum", *rows_of.covariates)
            figures = measure_sketch(data, rows_of.covariates, splits, blocks, p, INSIDE)
            setting = f"p = {p}, {size} calibration images"
            made.append(row(f"Sketch{name}", setting, p, live, figures))
            print(f"  {made[-1].line()}", flush=True)
    return made


def lower_precision(exact: Recorded, found: Recorded, precision: str, sizes, seeds) -> dict:
    """Exact and sketch by the same images' Jacobians at a lower precision of the products."""
    places = {name: i for i, name in enumerate(exact.ids)}
    chosen = np.array([places[name] for name in found.ids if name in places])
    ours = np.array([name in places for name in found.ids])
    targets = Recorded(*jax.tree.map(lambda a: a[chosen], tuple(exact)))
    found = Recorded(*jax.tree.map(lambda a: a[ours], tuple(found)))
    live = targets.roots.shape[1] - targets.nulls.shape[2]
    figures = assess(found.scores, targets.scores, targets.groups, INSIDE)
    error = found.scores - targets.scores
    figures |= {"largest": float(np.abs(error).max()), "images": len(chosen)}
    rows = [row(f"Exact, {precision}", "", live, live, figures)]
    print(f"  {rows[-1].line()}", flush=True)
    return {
        "images": len(chosen),
        "largest": float(np.abs(error).max()),
        "largest_in_distribution": float(np.abs(error[targets.groups == INSIDE]).max()),
        "rows": rows + sketches(found, targets, live, sizes, seeds, f", {precision}"),
    }
