"""Cleaning a set of which a tenth is something else, without a clean reference."""

from collections.abc import Sequence

import numpy as np

from jepa_jax.evaluation import Detector, Features, cross_scores

SHARE = 0.1
MIXED = "all of them"


def run(
    clean: Features,
    others: dict[str, Features],
    detectors: Sequence[Detector],
    draws: int = 20,
    seed: int = 0,
) -> list[dict]:
    """The share of what is removed that does not belong, by method and kind of contamination.

    As many images as do not belong, a tenth of the clean ones or all that there are, are removed
    by the lowest scores of detectors fitted on the mess itself, on the other folds of it: the mean
    over `draws` of which images they are, and its standard deviation.
    """
    found: dict[str, dict[str, list[float]]] = {}
    everything = joined(list(others.values()))
    for kind, pool in (others | {MIXED: everything}).items():
        count = min(len(pool), round(SHARE * len(clean)))
        for draw in range(draws):
            rng = np.random.default_rng([seed, draw])
            mess = joined([clean, pool.take(rng.choice(len(pool), count, replace=False))])
            wrong = np.arange(len(mess)) >= len(clean)
            there = [d for d in detectors if d.needs <= mess.names]
            scores = {d.name: cross_scores(d, mess, seed=draw) for d in there}
            scores["at random"] = rng.random(len(mess))
            for name, values in scores.items():
                precision = wrong[np.argsort(values, kind="stable")[:count]].mean()
                found.setdefault(name, {}).setdefault(kind, []).append(float(precision))
    return [
        {
            "method": name,
            "kinds": {k: [float(np.mean(v)), float(np.std(v))] for k, v in kinds.items()},
        }
        for name, kinds in found.items()
    ]


def joined(parts: Sequence[Features]) -> Features:
    """All their images, with the columns that all of them have."""
    names = set.intersection(*(set(part.columns) for part in parts))
    return Features(
        tuple(id for part in parts for id in part.ids),
        np.concatenate([part.vectors for part in parts]),
        {name: np.concatenate([part.column(name) for part in parts]) for name in sorted(names)},
    )
