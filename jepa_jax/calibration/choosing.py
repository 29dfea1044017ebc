"""The fastest method that is good enough, by what a calibration measured."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jepa_jax.estimators.estimate import Estimator, cost_in_vjps
from jepa_jax.estimators.exact import Exact
from jepa_jax.estimators.methods import METHODS
from jepa_jax.estimators.sketch.estimator import Sketch
from jepa_jax.estimators.sketch.fitting import SketchSamples, spearman

NOISE = 0.1
"""Times that differ by less than this share are taken for equal."""

# Numbers of cotangents worth comparing.
_COTANGENTS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A method, its cost in VJPs (a JVP counts 1.5), and its measured agreement with `Exact`.

    `spearman` and `rmse` (nats): over the calibration images, leave-one-out for a sketch; those of
    a random method after its mean bias is taken off. `seconds`: expected of one image, from the
    exact score's time by cost, and for a sketch that of its covariates.

    >>> from jepa_jax import Exact
    >>> from jepa_jax.calibration import Candidate
    >>> exact = Candidate("exact", 384.0, 1.0, 0.0, seconds=2.5, estimator=Exact)
    >>> exact.estimator() == Exact()
    True
    """

    name: str
    cost: float
    spearman: float
    rmse: float
    seconds: float
    estimator: Callable[[], Estimator]


def compared_methods() -> dict[str, Estimator]:
    """The random methods that a calibration compares on the same images, by name."""
    return {name: method.make() for name, method in METHODS.items() if method.compared}


def candidates(
    samples: SketchSamples, *, seconds_an_exact_image: float, seconds_of_covariates: float
) -> list[Candidate]:
    """Every method that `samples` can judge, the fastest first, `Exact` among them."""
    k = samples.cotangents.shape[1]
    exact_cost = float(samples.rank)
    each = seconds_an_exact_image / exact_cost
    found = [Candidate("exact", exact_cost, 1.0, 0.0, each * exact_cost, Exact)]
    for count in _COTANGENTS:
        if count > len(samples.cotangents):
            break
        fit = samples.fit(count)
        found.append(
            Candidate(
                f"sketch, {count} cotangents",
                float(count),
                fit.spearman,
                fit.rmse,
                each * count + seconds_of_covariates,
                lambda fit=fit: Sketch(fit.calibration),
            )
        )
    for name, values in (samples.measured.others or {}).items():
        estimator = METHODS[name].make()
        cost = cost_in_vjps(estimator, k, samples.rank)
        rank, spread = _agreement(values, samples.measured.score)
        found.append(Candidate(name, cost, rank, spread, each * cost, lambda e=estimator: e))
    return sorted(found, key=lambda c: c.seconds)


def choose(
    found: Sequence[Candidate],
    target_spearman: float,
    *,
    noise: float = NOISE,
    refinable: bool = False,
) -> Candidate:
    """The fastest of the candidates whose measured rank correlation reaches the target.

    Of those within `noise` of the fastest, a share of its time, the one of the least cost in VJPs:
    that order is known, where times are not. `refinable`: only `Exact`, and sketches, whose rows
    can be scored again exactly.

    Raises `ValueError` on a target outside (0, 1].
    """
    check_target(target_spearman)
    good = [c for c in found if c.spearman >= target_spearman]
    if refinable:
        good = [c for c in good if isinstance(c.estimator(), (Exact, Sketch))]
    bound = min(c.seconds for c in good) * (1 + noise)
    return min((c for c in good if c.seconds <= bound), key=lambda c: (c.cost, c.seconds))


def check_target(target_spearman: float) -> None:
    """Raises `ValueError` on a rank correlation that no method could be asked for."""
    if not 0 < target_spearman <= 1:
        raise ValueError(f"`target_spearman` must be in (0, 1], got {target_spearman}")


def _agreement(values: Any, scores: Any) -> tuple[float, float]:
    """Rank correlation with the exact scores, and the spread of the error about its mean."""
    values, scores = np.asarray(values), np.asarray(scores)
    return spearman(values, scores), float(np.std(values - scores))
