"""Every method on recorded Jacobians: its error and its ranks beside the exact float32 score."""

import jax
import numpy as np

from benchmarks.frontier import methods, rivals
from benchmarks.frontier.held_out import Part, held_out, measure_sketch, other_methods, split
from benchmarks.frontier.metrics import assess, by_group, mean_of
from benchmarks.frontier.rows import Row, row
from benchmarks.pretrained.images import INSIDE
from benchmarks.pretrained.recording import Recorded
from jepa_jax import Hutchinson, Lanczos, XTrace
from jepa_jax.estimators.sketch.measurement import Measurement

COUNTS = (12, 16, 24, 32, 48, 64, 96)
FOLDS = 8
# Whose errors are shown by groups.
GROUPED = (24, 48)
# Dearer than an exact score by far, and known to be no better than others here (frontier).
SKIPPED = (Lanczos(50, 16), Hutchinson(50, 4), Hutchinson(100, 8), XTrace(30, 12))
# Known from there to rank as the scaled one does.
LEFT_OUT = "row sketch, unscaled"


def run(exact: Recorded, sizes: tuple[int, ...], seeds: int) -> dict:
    """The rows of every method; the sketch is calibrated on so many images of all groups."""
    live = exact.roots.shape[1] - exact.nulls.shape[2]
    data = (exact.roots, exact.scores, exact.groups)
    found = _measurement(exact, exact)
    made = {size: splits(exact, found, live, size, seeds) for size in sizes}
    rows = [row for size in sizes for row in sketches(exact, exact, live, made[size], size)]
    rows += other_methods(data, exact.nulls, exact.scores, live, INSIDE, (24, 96), SKIPPED)
    rows += rivals.run(data, exact.nulls, INSIDE)
    here = exact.groups == INSIDE
    return {
        "images": {str(g): int((exact.groups == g).sum()) for g in np.unique(exact.groups)},
        "live": live,
        "score_sd": float(exact.scores[here].std()),
        "score_sd_pooled": float(exact.scores.std()),
        "seeds": seeds,
        "rows": [r for r in rows if r.method != LEFT_OUT],
        "groups": by_groups(exact, made[sizes[-1]]),
        "unseen": unseen(exact, found, live, sizes[-1]),
    }


def splits(
    images: Recorded, found: Measurement, live: int, size: int, seeds: int
) -> list[list[Part]]:
    """Every image tested once a seed, by sketches calibrated on `size` others."""
    most = len(images.ids) - -(-len(images.ids) // FOLDS)
    if size > most:
        raise ValueError(f"{len(images.ids)} images leave {most} to calibrate on, got {size}")
    return [
        split(images.groups, found, images.covariates, max(COUNTS), live, (FOLDS, size, seed))
        for seed in range(seeds)
    ]


def by_groups(exact: Recorded, made: list[list[Part]]) -> list[dict]:
    """Errors and coverage of each group's images, each held out; means over the splits."""
    blocks = ("spectrum", *exact.covariates)
    rows = []
    for p in GROUPED:
        each = [held_out(exact.roots, exact.covariates, parts, blocks, p)[:3] for parts in made]
        for group in np.unique(exact.groups):
            here = exact.groups == group
            figures = [
                by_group(value[here], exact.scores[here], error[here], flagged[here])
                for value, error, flagged in each
            ]
            rows.append({"p": p, "group": str(group), "images": int(here.sum())} | mean_of(figures))
    return rows


def unseen(exact: Recorded, found: Measurement, live: int, size: int) -> list[dict]:
    """Of each group's images, by sketches that are calibrated on all other groups."""
    rows = []
    for group in np.unique(exact.groups):
        here = exact.groups == group
        others = np.random.default_rng(0).permutation(np.flatnonzero(~here))[:size]
        samples = methods.sample(found, exact.covariates, others, max(GROUPED), 0, live)
        covariates = {name: block[here] for name, block in exact.covariates.items()}
        for p in GROUPED:
            e = methods.sketch(samples.fit(p).calibration, exact.roots[here], covariates)
            figures = by_group(e.log_volume, exact.scores[here], e.std_error, e.flagged)
            rows.append({"p": p, "group": str(group), "images": int(here.sum())} | figures)
    return sorted(rows, key=lambda r: r["p"])


def _measurement(rows_of: Recorded, targets: Recorded) -> Measurement:
    roots = methods.measured(rows_of.roots, rows_of.nulls).sketch
    return Measurement(targets.scores.astype(np.float32), roots, {})


def sketches(
    rows_of: Recorded, targets: Recorded, live: int, made: list[list[Part]], size: int, name=""
) -> list[Row]:
    """The sketch of `rows_of`'s Jacobians, fitted to the scores of `targets`, tested on others."""
    data = (rows_of.roots, targets.scores, targets.groups)
    blocks = ("spectrum", *rows_of.covariates)
    found = []
    for p in COUNTS:
        figures = measure_sketch(data, rows_of.covariates, made, blocks, p, INSIDE)
        setting = f"p = {p}, {size} calibration images"
        found.append(row(f"Sketch{name}", setting, p, live, figures))
        print(f"  {found[-1].line()}", flush=True)
    return found


def lower_precision(
    exact: Recorded, found: Recorded, precision: str, size: int, seeds: int
) -> dict:
    """Exact and sketch by the same images' Jacobians at a lower precision of the products."""
    places = {name: i for i, name in enumerate(exact.ids)}
    chosen = np.array([places[name] for name in found.ids if name in places])
    ours = np.array([name in places for name in found.ids])
    targets = Recorded(*jax.tree.map(lambda a: a[chosen], tuple(exact)))
    found = Recorded(*jax.tree.map(lambda a: a[ours], tuple(found)))
    live = targets.roots.shape[1] - targets.nulls.shape[2]
    error = found.scores - targets.scores
    figures = assess(found.scores, targets.scores, targets.groups, INSIDE)
    rows = [row(f"Exact, {precision}", "", live, live, figures)]
    print(f"  {rows[-1].line()}", flush=True)
    size = min(size, len(chosen) - -(-len(chosen) // FOLDS))
    made = splits(found, _measurement(found, targets), live, size, seeds)
    rows += sketches(found, targets, live, made, size, f", {precision}")
    return {
        "images": len(chosen),
        "largest": float(np.abs(error).max()),
        "largest_in_distribution": float(np.abs(error[targets.groups == INSIDE]).max()),
        "rows": rows,
    }
