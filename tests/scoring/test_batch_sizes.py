"""How many images and cotangents are computed at once, by platform and method."""

import pytest

from jepa_jax import Exact, Lanczos
from jepa_jax.scoring import batch_sizes
from jepa_jax.scoring.batch_sizes import make_plan, plan_for

GIB = 2**30


class Accelerator:
    platform = "gpu"

    def __init__(self, memory: float):
        self.memory = memory

    def memory_stats(self) -> dict[str, float]:
        return {"bytes_limit": self.memory}


@pytest.fixture
def on_gpu(monkeypatch):
    gpu = Accelerator(80 * GIB)
    monkeypatch.setattr(batch_sizes, "default_device", lambda: gpu)


def test_an_accelerators_batch_is_of_the_methods_own_products(encoder, on_gpu):
    exact = plan_for(encoder, 28, 28, estimator=Exact())
    assert exact == plan_for(encoder, 28, 28)
    few = plan_for(encoder, 28, 28, estimator=Lanczos(steps=1, probes=4))
    assert few.batch > exact.batch or exact.batch == 32
    assert few.chunk <= 4


def test_a_cpus_batch_is_the_exact_scores(encoder):
    few = plan_for(encoder, 28, 28, estimator=Lanczos(steps=1, probes=4))
    assert few == plan_for(encoder, 28, 28)


def test_memory_bounds_a_batch():
    """Rows of 384 x 150,528 float32 take 231 MB: a quarter of 1 GiB holds one."""
    plan = make_plan(384, 150_528, 1, device=Accelerator(1 * GIB))
    assert plan.batch == 1
    assert make_plan(384, 150_528, 1, device=Accelerator(4 * GIB)).batch == 4
    assert make_plan(12, 150_528, 1, device=Accelerator(1 * GIB)).batch == 32


def test_a_vit_s_sketch_fills_a_batch_where_the_exact_score_has_one():
    activation = 257 * 384
    gpu = Accelerator(80 * GIB)
    assert make_plan(384, 150_528, activation, device=gpu).batch == 1
    assert make_plan(12, 150_528, activation, device=gpu).batch == 14
