"""How methods are tested on matrices: folds, held-out sketches, all other methods."""

from typing import NamedTuple

import numpy as np

from benchmarks.frontier import methods
from benchmarks.frontier.baselines import baselines
from benchmarks.frontier.metrics import assess, mean_of, stated_errors
from benchmarks.frontier.rows import Row, row
from jepa_jax import SketchSamples
from jepa_jax.estimators.estimate import cost_in_vjps
from jepa_jax.estimators.sketch.measurement import Measurement


def folds(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of every image, each group dealt out evenly."""
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    found = np.empty(len(groups), int)
    found[order] = np.arange(len(groups)) % count
    return found


class Part(NamedTuple):
    """Images to test on, and the samples of others to calibrate on."""

    test: np.ndarray
    samples: SketchSamples


def split(
    groups: np.ndarray, found: Measurement, covariates, most: int, live: int, settings, random=False
) -> list[Part]:
    """Every image tested once. `settings`: (number of folds, calibration images, seed).

    The seed is that of the folds and of the choice of `most` cotangents, from the calibration
    images alone or `random`.
    """
    count, size, seed = settings
    rng = np.random.default_rng(seed)
    fold = folds(groups, count, rng)
    parts = []
    for k in range(count):
        chosen = rng.permutation(np.flatnonzero(fold != k))[:size]
        samples = methods.sample(found, covariates, chosen, most, seed, live, random)
        parts.append(Part(np.flatnonzero(fold == k), samples))
    return parts


def held_out(matrices, covariates, parts: list[Part], blocks, p: int):
    """(predictions, standard errors, flags, the root mean square leave-one-out error)."""
    found = np.zeros((3, len(matrices)))
    left_out = []
    for test, samples in parts:
        fitted = samples.fit(p, blocks)
        part = {name: block[test] for name, block in covariates.items() if name in blocks}
        estimate = methods.sketch(fitted.calibration, matrices[test], part)
        found[:, test] = estimate.log_volume, estimate.std_error, estimate.flagged
        left_out.append(fitted.rmse)
    predictions, errors, flagged = found
    return predictions, errors, flagged.astype(bool), float(np.sqrt(np.square(left_out).mean()))


def measure_sketch(data, covariates, splits: list[list[Part]], blocks, p, inside):
    """The mean over `splits` of the figures of held-out predictions.

    `data`: (matrices, scores, groups).
    """
    matrices, scores, groups = data
    found = []
    for parts in splits:
        predictions, errors, flagged, left_out = held_out(matrices, covariates, parts, blocks, p)
        one = assess(predictions, scores, groups, inside, errors)
        one |= {"predicted_rmse": left_out, "flagged": float(flagged[groups == inside].mean())}
        found.append(one)
    return mean_of(found)


def other_methods(data, nulls, exact, live: int, inside: str, counts, skip=()) -> list[Row]:
    """Exact (given), the baselines and the classical methods."""
    matrices, scores, groups = data
    k, d = matrices.shape[1:]
    rows = [row("Exact", "", live, live, assess(exact, scores, groups, inside))]
    for method, setting, price, score in baselines(k, live, counts, methods.MATFREE):
        values = methods.scores(score, matrices, nulls, 1)
        rows.append(row(method, setting, price, live, assess(values, scores, groups, inside)))
        print(f"  {rows[-1].line()}", flush=True)
    for name, estimators in methods.CLASSICAL.items():
        for estimator in estimators:
            if estimator in skip:
                continue
            estimate = methods.scores(estimator, matrices, nulls, 1)
            figures = assess(
                estimate.log_volume, scores, groups, inside, estimate.std_error, centred=True
            )
            again = methods.scores(estimator, matrices, nulls, 2)
            figures |= stated_errors(
                estimate.log_volume,
                again.log_volume,
                scores,
                estimate.std_error,
                estimate.bias_bound,
                two_sided=name == "Hutchinson",
            )
            price = cost_in_vjps(estimator, live, d)
            rows.append(row(name, methods.settings_of(estimator), price, live, figures))
            print(f"  {rows[-1].line()}", flush=True)
    return rows


def cascade_row(p: int, live: int, many: list[dict]) -> dict:
    """The mean of cascades, with their cost."""
    merged = mean_of(many)
    price = p + merged["rescored"] * live
    least = {f"worst_{s}": min(m[f"recovered_{s}"] for m in many) for s in ("1%", "5%")}
    return {"p": p, "repeats": len(many), **merged, **least, "cost": price, "speedup": live / price}
