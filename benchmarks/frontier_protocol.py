"""How frontier.py tests methods on matrices: folds, held-out sketches, baselines."""

import frontier_methods as methods
import numpy as np
from frontier_metrics import assess, cost, mean_of, stated_errors
from frontier_report import Row, row

from jepa_jax.estimators.calibrate import draw_cotangents


def folds(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of every image, each group dealt out evenly."""
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    found = np.empty(len(groups), int)
    found[order] = np.arange(len(groups)) % count
    return found


def held_out(matrices, scores, groups, samples, covariates, blocks, p, live, settings):
    """Every image predicted once, by a sketch fitted without its fold; leave-one-out errors too.

    `settings`: (number of folds, calibration images, seed of the cotangents and of the folds).
    """
    count, size, seed = settings
    rng = np.random.default_rng(seed)
    fold = folds(groups, count, rng)
    omega = draw_cotangents(matrices.shape[1], len(samples.sketch[0]), seed)[:p]
    found = np.zeros((3, len(scores)))
    left_out = []
    for k in range(count):
        test = np.flatnonzero(fold == k)
        chosen = rng.permutation(np.flatnonzero(fold != k))[:size]
        fitted = methods.fit(samples, covariates, chosen, omega, blocks, live)
        part = {name: block[test] for name, block in covariates.items() if name in blocks}
        estimate = methods.sketch(fitted.calibration, matrices[test], part)
        found[:, test] = estimate.log_volume, estimate.std_error, estimate.flagged
        left_out.append(fitted.rmse)
    predictions, errors, flagged = found
    return predictions, errors, flagged.astype(bool), float(np.sqrt(np.square(left_out).mean()))


def measure_sketch(data, samples, covariates, blocks, p, live, inside, many) -> dict[str, float]:
    """The mean over seeds of the figures of held-out predictions; `many` are their `settings`.

    `data`: (matrices, scores, groups). `samples`: one measurement a seed.
    """
    matrices, scores, groups = data
    found = []
    for sample, settings in zip(samples, many, strict=True):
        predictions, errors, flagged, left_out = held_out(
            matrices, scores, groups, sample, covariates, blocks, p, live, settings
        )
        one = assess(predictions, scores, groups, inside, errors)
        one |= {"predicted_rmse": left_out, "flagged": float(flagged[groups == inside].mean())}
        found.append(one)
    return mean_of(found)


def baselines(data, nulls, exact, live: int, inside: str, counts, skip=()) -> list[Row]:
    """Exact (given), Listing 1, the row sketch, the norm, matfree and the classical methods."""
    matrices, scores, groups = data
    k, d = matrices.shape[1:]
    rows = [row("Exact", "", live, live, assess(exact, scores, groups, inside))]
    figures = assess(methods.listing1(matrices), scores, groups, inside)
    rows.append(row("Listing 1", "clip, float32 SVD", k, live, figures))
    for p in counts:
        estimate, norms = methods.row_sketch(matrices, p, live, 0)
        for name, values in (
            ("row sketch, scaled by K/p", estimate),
            ("row sketch, unscaled", estimate * p / live),
        ):
            rows.append(row(name, f"p = {p}", p, live, assess(values, scores, groups, inside)))
    figures = assess(norms, scores, groups, inside)
    rows.append(row("log of the Frobenius norm", "exact norm", live, live, figures))
    for steps, probes in methods.MATFREE:
        estimate = methods.matfree_logdet(matrices, steps, probes, 1)
        figures = assess(estimate, scores, groups, inside)
        price = cost((steps * probes, steps * probes))
        rows.append(row("matfree, all K", f"{steps} steps, {probes} probes", price, live, figures))
        print(f"  {rows[-1].line()}", flush=True)
    for name, estimators in methods.CLASSICAL.items():
        for estimator in estimators:
            if estimator in skip:
                continue
            estimate = methods.classical(estimator, matrices, nulls, 1)
            figures = assess(
                estimate.log_volume, scores, groups, inside, estimate.std_error, centred=True
            )
            again = methods.classical(estimator, matrices, nulls, 2)
            figures |= stated_errors(
                estimate.log_volume,
                again.log_volume,
                scores,
                estimate.std_error,
                estimate.bias_bound,
                two_sided=name == "Hutchinson",
            )
            price = cost(estimator.cost(live, d))
            rows.append(row(name, methods.settings_of(estimator), price, live, figures))
            print(f"  {rows[-1].line()}", flush=True)
    return rows


def cascade_row(p: int, live: int, many: list[dict]) -> dict:
    """The mean of cascades, with their cost."""
    merged = mean_of(many)
    price = p + merged["rescored"] * live
    least = {f"worst_{s}": min(m[f"recovered_{s}"] for m in many) for s in ("1%", "5%")}
    return {"p": p, "repeats": len(many), **merged, **least, "cost": price, "speedup": live / price}
