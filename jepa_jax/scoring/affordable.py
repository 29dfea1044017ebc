"""A score that this machine has no memory for, or takes hours over, is refused before a run."""

import dataclasses
import functools
import time
from typing import Protocol, runtime_checkable

import jax.numpy as jnp

from jepa_jax.encoders.encoder import Encoder
from jepa_jax.estimators.estimate import Estimator, cost_in_vjps
from jepa_jax.estimators.lanczos import Lanczos
from jepa_jax.precisions import Precision
from jepa_jax.products import product
from jepa_jax.scoring.batch_sizes import FLOPS_CORE, Plan
from jepa_jax.scoring.cores import available_cores
from jepa_jax.scoring.cost import Cost, cost_of
from jepa_jax.scoring.devices import Devices
from jepa_jax.scoring.numerics import numerics
from jepa_jax.xla import default_device, jit

# A run is saved score by score, and says how long it will take when some are done: one that takes
# longer than this is asked for by name.
_HOURS = 1.0
# What an accelerator computes at least: only what is far from the limit is not measured.
_FLOPS_ACCELERATOR = 1e13
_MARGIN = 10.0
# The side of the product that is timed: 2 GFLOP on a CPU, 1 TFLOP elsewhere.
_SIDE = {"cpu": 1024}
_SIDE_ACCELERATOR = 8192


@runtime_checkable
class Planned(Protocol):
    """What is known of scores before any is computed: all but the images of a `BatchScorer`."""

    encoder: Encoder
    estimator: Estimator
    precision: Precision
    devices: Devices
    processes: int

    def plan(self, height: int, width: int) -> Plan:
        """How many images and cotangents at once."""
        ...


def check_affordable(
    scorer: Planned, size: tuple[int, int] | None = None, *, why: str = ""
) -> None:
    """Raises `ValueError` where `too_dear` says why, with the way on; `why`: what needs scores."""
    dear = too_dear(scorer, size)
    if dear is not None:
        raise ValueError(f"{why}{dear.cost}. The way on: {'; '.join(dear.ways)}")


@dataclasses.dataclass(frozen=True)
class TooDear:
    """What a score costs, in words, and the ways on."""

    cost: str
    ways: tuple[str, ...]


def too_dear(scorer: Planned, size: tuple[int, int] | None = None) -> TooDear | None:
    """Where one score of an input of `size` (height, width; default: the usual one) exceeds the
    memory that is available, or takes more than an hour where another method would take less: what
    it costs. None else, and of a scorer whose work is done elsewhere (an engine's).

    Nothing is computed, but for one product of matrices that is timed where the hour may be near.
    """
    if not scorer.devices.count:
        return None
    encoder = scorer.encoder
    height, width = size or encoder.input_shape[:2]
    plan = scorer.plan(height, width)
    costs = [
        cost_of(encoder.config, rule, scorer.estimator, height, width, plan.chunk)
        for rule in encoder.rules
    ]
    largest = max(costs, key=lambda cost: cost.memory)
    memory = max(1, scorer.processes) * plan.batch * largest.memory
    there = _memory_there(scorer)
    hours, rate = _hours(sum(cost.flops for cost in costs), scorer.precision)
    lanczos = cost_in_vjps(Lanczos(), largest.k, largest.d)
    too_long = hours > _HOURS and largest.vjps > lanczos
    if memory <= there and not too_long:
        return None
    input_of = f"{height} x {width} pixels"
    if (frames := encoder.config.frames) is not None:
        input_of = f"a clip of {frames} frames of {width} x {width} pixels"
    rows = f", {_bytes(largest.rows)} of it {largest.k} x {largest.d} rows" if largest.rows else ""
    each = "" if memory == largest.memory else f" for {memory // largest.memory} at once"
    method = type(scorer.estimator).__name__.lower()
    took = f" at the {rate / 1e9:.3g} GFLOP/s measured here, {_time(hours)} or more" if rate else ""
    ways = []
    if largest.vjps > lanczos or rows:
        others = [f"method lanczos (about {lanczos:.0f} VJPs, no calibration)"]
        if not encoder.inner:  # A sketch is of one embedding.
            others.append("a sketch (32 VJPs, by a calibration)")
        takes = "has no such rows" if rows else "takes less"
        ways.append(f"{', or '.join(others)}, {takes}")
    if memory != largest.memory:
        ways.append("a smaller batch size, or fewer processes, takes less memory")
    if frames is not None:
        ways.append("so do fewer frames")
    ways.append("`at_any_cost` (--at-any-cost) computes it all the same")
    return TooDear(
        f"one score of {input_of} by method {method} takes {_in_words(costs)}{took}, and "
        f"{_bytes(memory)} of memory{each}{rows}; {_bytes(there)} are available",
        tuple(ways),
    )


def _in_words(costs: list[Cost]) -> str:
    total = sum(cost.flops for cost in costs)
    each = " and ".join(
        f"{cost.vjps:.0f} VJPs of {cost.flops_a_vjp / 1e9:.3g} GFLOP" for cost in costs
    )
    return f"{each} ({total / 1e9:.3g} GFLOP)"


def _memory_there(scorer: Planned) -> float:
    """Bytes for scores: of a computer what is available, of an accelerator all but the parameters
    (those of a computer are there already, but for other processes)."""
    import psutil

    parameters = scorer.encoder.parameter_bytes
    device = scorer.devices.devices[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - parameters
    there = psutil.virtual_memory().available
    return there - parameters * (scorer.processes if scorer.processes > 1 else 0)


def _hours(flops: float, precision: Precision) -> tuple[float, float | None]:
    """Hours of `flops`, at most what is found, and the rate where it was measured."""
    device = default_device()
    cpu = device.platform == "cpu"
    guess = FLOPS_CORE * len(available_cores()) if cpu else _FLOPS_ACCELERATOR
    if flops / guess / 3600 < _HOURS / _MARGIN:
        return flops / guess / 3600, None
    rate = measured_rate(precision)
    return flops / rate / 3600, rate


@functools.cache
def measured_rate(precision: Precision) -> float:
    """Floating-point operations a second of matrix products at this precision, on JAX's default
    device: the most that a score reaches. Once a process, in a fraction of a second."""
    side = _SIDE.get(default_device().platform, _SIDE_ACCELERATOR)
    with numerics(precision):
        multiply = jit(product)
        a = jnp.full((side, side), 0.5, jnp.float32)
        seconds = []
        for _ in range(4):  # The first one compiles.
            began = time.perf_counter()
            multiply(a, a).block_until_ready()
            seconds.append(time.perf_counter() - began)
    return 2.0 * side**3 / min(seconds[1:])


def _bytes(count: float) -> str:
    return f"{count / 1e9:.3g} GB"


def _time(hours: float) -> str:
    return f"{hours:.2g} hours" if hours >= 1 else f"{60 * hours:.2g} minutes"
