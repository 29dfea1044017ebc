"""The budget of decoded images: kept over threads, never waited for in vain."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import encoded
from PIL import Image

from jepa_jax.data import decode, decoding
from jepa_jax.data.memory import MemoryBudget


@pytest.fixture
def most():
    """A budget of 100, and a function of threads that says the most that was taken."""
    budget = MemoryBudget(100)

    def work(sizes):
        peak = 0
        lock = threading.Lock()

        def one(size):
            nonlocal peak
            with budget.taking(size):
                with lock:
                    peak = max(peak, budget.taken)
                time.sleep(0.002)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, sizes))
        assert budget.taken == 0
        return peak

    return work


def test_threads_stay_below_it(most):
    assert 30 < most([30] * 40) <= 90
    assert most([60, 10, 60, 10, 60, 60]) <= 100


def test_one_larger_than_all_of_it_goes_alone(most):
    assert most([500]) == 500
    assert most([500, 30, 500, 30]) == 500


def test_a_large_one_is_not_passed_over_for_ever():
    budget, order = MemoryBudget(100), []
    first = budget.taking(60)
    first.__enter__()

    def take(size):
        with budget.taking(size):
            order.append(size)

    large = threading.Thread(target=take, args=(90,))
    large.start()
    while not budget._turns:
        time.sleep(0.001)
    small = threading.Thread(target=take, args=(10,))  # It would fit, and came later.
    small.start()
    time.sleep(0.02)
    assert order == []
    first.__exit__(None, None, None)
    large.join(5), small.join(5)
    assert order == [90, 10]


def test_what_a_thread_holds_it_keeps_to_the_end_and_never_waits_for_itself():
    budget = MemoryBudget(100)
    with budget.hold():
        with budget.taking(80):
            pass
        assert budget.taken == 80
        with budget.taking(80):
            pass
        assert budget.taken == 160
    assert budget.taken == 0


def test_an_error_gives_back_what_was_taken():
    budget = MemoryBudget(100)
    with pytest.raises(KeyError), budget.taking(80):
        raise KeyError
    with pytest.raises(KeyError), budget.hold(), budget.taking(80):
        raise KeyError
    assert budget.taken == 0


def test_images_decoded_in_threads_share_one_budget(monkeypatch):
    budget, seen = MemoryBudget(4 * 100 * 100 * 4), []
    monkeypatch.setattr(decoding, "DECODING", budget)
    to_rgb = decoding.to_rgb
    monkeypatch.setattr(
        decoding, "to_rgb", lambda image, **k: seen.append(budget.taken) or to_rgb(image, **k)
    )
    values = np.random.default_rng(0).integers(0, 256, (100, 100, 4), np.uint8)
    data = encoded(Image.fromarray(values))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [data] * 40))
    # Of transparent pixels, 4 bytes and their 4 bytes of RGB.
    assert min(seen) == 8 * 100 * 100
    assert max(seen) <= budget.limit
    assert budget.taken == 0
