"""The bookkeeping of an engine's `map`, without processes."""

import random

import pytest

from jepa_jax.scoring.calls import Calls
from jepa_jax.scoring.workers import WorkerDied


@pytest.mark.parametrize("seed", range(20))
def test_every_answer_once_and_in_order_whatever_is_lost(seed):
    draw = random.Random(seed)
    drawn = []
    items = ((f"item {i}", drawn.append(i) or i) for i in range(50))
    calls, busy, told, deaths = Calls(items), {}, [], dict.fromkeys(range(50), 0)
    while not calls.finished:
        for worker in range(3):
            if worker not in busy and (order := calls.order(worker)) is not None:
                (busy[worker],) = order
        assert len(drawn) - len(told) <= 4 * 4  # No source is read far ahead of the answers.
        worker = draw.choice([*busy])
        item = busy.pop(worker)
        if draw.random() < 0.3 and deaths[item] < 2:
            deaths[item] += 1
            calls.lost(worker, "killed")
        else:
            calls.answered(worker, item)
        told += calls.answers()
    assert told == [*range(50)]
    assert sum(deaths.values()) > 5


def test_an_item_that_kills_its_workers_is_named():
    calls = Calls([("a.png", 0), ("b.png", 1)])
    calls.lost("nobody", "was idle")
    assert calls.order("other") == (0,)
    calls.answered("other", 0)
    for _ in range(2):
        assert calls.order("one") == (1,)
        calls.lost("one", "killed")
    assert calls.order("one") == (1,)
    with pytest.raises(WorkerDied, match=r"3 workers died at b\.png; the last one: killed"):
        calls.lost("one", "killed")
