"""Method `auto` chooses alike on a quiet machine and on a busy one."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from jepa_jax import Calibration, Exact, SketchSamples
from jepa_jax.calibration import batches as of_batches
from jepa_jax.calibration import measuring
from jepa_jax.calibration.choosing import Candidate, choose
from jepa_jax.estimators.sketch.measurement import Measurement

ONE_DEVICE = SimpleNamespace(
    encoder=SimpleNamespace(state=None),
    devices=SimpleNamespace(program=lambda function, **_: function),
    on_devices=lambda: (None, None),
)

# Seconds of a quiet machine: a batch's exact scores, and its covariates.
EXACT, COVARIATES, BATCH = 8.0, 0.5, 4


class Machine:
    """A clock, and work that takes longer while the machine is busy with something else."""

    def __init__(self, slower):
        self.now, self.slower = 0.0, slower

    def monotonic(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        """In small steps: load may come and go within."""
        for _ in range(20):
            self.now += seconds / 20 * self.slower(self.now)


def spikes(seed: int):
    """Three of ten times, for some seconds, everything takes up to ten times as long."""
    draw = np.random.default_rng(seed)
    factors = [draw.uniform(2, 10) if draw.random() < 0.3 else 1.0 for _ in range(200)]
    return lambda now: factors[int(now / 3) % len(factors)]


LOADS = {
    "quiet": lambda now: 1.0,
    "three programs beside it": lambda now: 4.0,
    "busy at first": lambda now: 6.0 if now < 40 else 1.0,
    "busy in the end": lambda now: 1.0 if now < 40 else 6.0,
    "every other ten seconds": lambda now: 5.0 if int(now / 10) % 2 else 1.0,
} | {f"spikes {seed}": spikes(seed) for seed in range(20)}


def times(slower, monkeypatch, batches=8) -> dict[str, float]:
    """What a measurement of so many batches notes of a machine; its first batch compiles."""
    machine = Machine(slower)
    monkeypatch.setattr(of_batches, "time", machine)
    run = of_batches.Measuring(ONE_DEVICE)
    compiling = itertools.chain([100.0], itertools.repeat(0.0))
    run._compiled = lambda *_: machine.work(EXACT + next(compiling))
    run._covariates = lambda *_: machine.work(COVARIATES)
    run._last = (np.zeros((BATCH, 2)), None, 1)
    for _ in range(batches):
        run._timed(*run._last)
    return measuring.medians(run.until_timed())


def calibration(facts) -> Calibration:
    """Of Jacobians that are multiples of one another: every sketch is as good as exact."""
    sizes = np.geomspace(0.5, 2, 20)
    measured = Measurement(64 * np.log(sizes), sizes[:, None, None] * np.eye(16), {})
    return Calibration(SketchSamples(np.eye(16, 64), measured, rank=64), {"rank": 64}, facts)


def test_the_first_batch_and_what_compiles_is_not_timed(annotations_unchecked, monkeypatch):
    found = times(LOADS["quiet"], monkeypatch)
    assert found["seconds_an_exact_image"] == pytest.approx(EXACT / BATCH)
    assert found["seconds_of_covariates"] == pytest.approx(COVARIATES / BATCH)
    assert found["error_of_seconds"] == pytest.approx(0, abs=1e-9)
    assert times(LOADS["quiet"], monkeypatch, batches=1) == pytest.approx(found)


@pytest.mark.parametrize("load", LOADS)
def test_load_changes_no_choice(annotations_unchecked, load, monkeypatch):
    """Covariates timed once, and alone, would take the load of that moment for their own."""
    facts = times(LOADS[load], monkeypatch)
    quiet = times(LOADS["quiet"], monkeypatch)
    chosen, expected = (calibration(f).choose(0.98) for f in (facts, quiet))
    assert chosen.name == expected.name == "sketch, 4 cotangents"
    of = lambda f: f["seconds_of_covariates"] / f["seconds_an_exact_image"]
    assert of(facts) == pytest.approx(of(quiet), rel=1.0)


def candidate(name: str, cost: float, seconds: float, spearman: float = 1.0) -> Candidate:
    return Candidate(name, cost, spearman, 0.0, seconds, Exact)


@pytest.mark.parametrize("order", itertools.permutations((1.0, 1.04, 1.09)))
def test_within_noise_the_cost_decides(order):
    """Whichever of them was the fastest this time."""
    found = [candidate(f"{8 * n}", 8.0 * n, t) for n, t in enumerate(order, start=1)]
    assert choose(found, 0.98, noise=0.1).name == "8"
    assert choose(found[::-1], 0.98, noise=0.1).name == "8"


def test_beyond_noise_the_faster_one_is_chosen():
    found = [candidate("cheap", 8.0, 1.2), candidate("dear", 16.0, 1.0)]
    assert choose(found, 0.98, noise=0.1).name == "dear"
    assert choose(found, 0.98, noise=0.25).name == "cheap"


def test_what_is_not_good_enough_is_no_measure_of_the_others():
    """The fastest of all sets no bound for those that reach the target."""
    found = [candidate("bad", 1.0, 0.01, spearman=0.5), candidate("good", 8.0, 1.0)]
    assert choose(found, 0.98).name == "good"


def test_the_noise_that_was_measured_is_what_counts():
    """At least a tenth, at most a half: a machine that is never quiet still tells 1 from 2."""
    facts = {"seconds_an_exact_image": 64.0, "seconds_of_covariates": 0.1}
    names = [calibration(facts | {"error_of_seconds": e}).choose().name for e in (0.0, 0.2, 9.0)]
    assert names == ["sketch, 4 cotangents"] * 3
    found = [candidate("cheap", 8.0, 1.45), candidate("dear", 16.0, 1.0)]
    made = calibration(facts | {"error_of_seconds": 9.0})
    object.__setattr__(made, "candidates", lambda: found)
    assert made.choose().name == "cheap"
    object.__setattr__(made, "candidates", lambda: [candidate("cheap", 8.0, 1.6), found[1]])
    assert made.choose().name == "dear"
