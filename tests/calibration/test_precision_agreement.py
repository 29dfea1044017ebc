"""Which precision is chosen, from injected times and agreements, and what is measured of each."""

import itertools

import numpy as np
import pytest

from jepa_jax.calibration import Compared, choose_precision, faster_precisions
from jepa_jax.calibration.precision_agreement import _in_turn
from jepa_jax.precisions import PRECISIONS
from jepa_jax.scoring.scores import Scores

EXACT = np.arange(1000.0)


def compared(precision, seconds, swapped=0):
    """Scores whose ranks agree but for the first `swapped`, which are turned round."""
    scores = EXACT.copy()
    scores[:swapped] = scores[:swapped][::-1]
    return Compared(precision, seconds, scores, EXACT)


@pytest.mark.parametrize(
    ("found", "target", "chosen"),
    [
        # Nothing is faster.
        ([("highest", 1.0), ("bf16", 1.2), ("bf16x3", 3.0)], 0.9, "highest"),
        ([("highest", 1.0), ("bf16", 0.95)], 0.9, "highest"),  # Nor by more than noise.
        ([("highest", 1.0), ("tf32", 0.3), ("bf16", 0.1)], 0.999, "bf16"),
        # As fast, but for noise: the one that is rounded less.
        ([("highest", 1.0), ("tf32", 0.104), ("bf16", 0.1)], 0.999, "tf32"),
        ([("highest", 1.0), ("tf32", 0.3), ("bf16", 0.1, 300)], 0.999, "tf32"),
        ([("highest", 1.0), ("tf32", 0.3, 300), ("bf16", 0.1, 300)], 0.999, "highest"),
        ([("highest", 1.0), ("tf32", 0.3, 300), ("bf16", 0.1, 300)], 0.9, "bf16"),
        ([("highest", 1.0), ("bf16", 0.1, 2)], 1.0, "highest"),
    ],
)
def test_the_fastest_that_agrees(found, target, chosen):
    assert choose_precision([compared(*c) for c in found], target).precision == chosen


def test_agreement_is_spearmans():
    # Turning m of n ranks round takes 2 (m^3 - m) / (n^3 - n) from 1.
    found = compared("bf16", 1.0, 300)
    expected = 1 - 2 * (300**3 - 300) / (1000**3 - 1000)
    assert found.spearman == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("target", [0, 1.01, -1])
def test_a_target_that_no_precision_has_is_refused(target):
    with pytest.raises(ValueError, match=r"`target` must be in \(0, 1\]"):
        choose_precision([compared("highest", 1.0)], target)


def test_no_precision_is_worth_comparing_where_none_is_faster(monkeypatch):
    monkeypatch.setattr("jepa_jax.scoring.numerics.cpu_multiplies_bf16", lambda: False)
    assert faster_precisions("cpu") == []
    monkeypatch.setattr("jepa_jax.scoring.numerics.cpu_multiplies_bf16", lambda: True)
    assert faster_precisions("cpu") == ["bf16", "bf16x3"]
    assert faster_precisions("gpu") == list(PRECISIONS[1:])


class Machine:
    """A clock, and scorers that take their time on it; every sixth batch is held up."""

    def __init__(self):
        self.now, self.log = 0.0, []
        self.hold_ups = itertools.cycle([0, 0, 0, 0, 0, 50.0])

    def scorer(self, precision, seconds, error):
        def score(images, at_any_cost=False):
            self.log.append(precision)
            self.now += seconds * len(images) + next(self.hold_ups)
            n = np.zeros(len(images))
            return Scores(images.mean((1, 2, 3)) + error, n, n, n, n[:, None], None, None)

        class Scorer:
            plan = staticmethod(lambda *sides: type("Plan", (), {"batch": 4}))

        Scorer.score = staticmethod(score)
        return Scorer()


@pytest.mark.parametrize("count", [3, 4, 10, 26])
def test_precisions_are_measured_in_turn(annotations_unchecked, count):
    machine = Machine()
    scorers = {
        "highest": machine.scorer("highest", 2.0, 0.0),
        "bf16": machine.scorer("bf16", 0.5, 7.0),
    }
    images = np.random.default_rng(0).normal(size=(count, 2, 2, 3))
    scores, seconds = _in_turn(scorers, images, lambda: machine.now)
    np.testing.assert_allclose(scores["highest"], images.mean((1, 2, 3)))
    np.testing.assert_allclose(scores["bf16"], scores["highest"] + 7)
    assert seconds["bf16"] == pytest.approx(0.5)  # The median: hold-ups are not in it.
    assert seconds["highest"] == pytest.approx(2.0)
    assert machine.log == ["highest", "bf16"] * (len(machine.log) // 2)
    assert len(machine.log) >= 2 * (1 + 3)
