"""How much to compute at once: cotangents a chunk, images a batch, processes on a CPU."""

import dataclasses
import functools

from jepa_jax.encoders.encoder import Encoder
from jepa_jax.estimators.estimate import Estimator
from jepa_jax.scoring.cores import available_cores
from jepa_jax.scoring.cost import cost_of
from jepa_jax.xla import default_device

# Elements (cotangents x tokens x width x images) of one activation that fill an accelerator: an
# estimate, not yet measured on one.
_ELEMENTS_ACCELERATOR = 2**24
# The same on a CPU: what is worth a dispatch, and what may not be passed by more than a few
# cotangents, so that a chunk's values stay a fraction of the Jacobian's rows. Chunks of 4 to 16
# are within a machine's noise of each other (benchmarks/exact, benchmarks/memory).
_ELEMENTS_CPU = 2**17
_ELEMENTS_CPU_MOST = 720_000
_COTANGENTS_CPU = 8
# The most a batch's Jacobians may take: of an accelerator's memory, and of a computer's.
_MEMORY_SHARE = 0.25
_MEMORY_CPU = 2 * 2**30
# Of a worker process beside its parameters and Jacobians: the interpreter, JAX, compiled programs.
_BYTES_WORKER = 0.7e9
# A run shorter than this is not worth starting and compiling in several processes.
_SECONDS_WORTH = 120.0
# What one core of a CPU computes, for the length of a run: a guess, wrong by a factor of 3.
FLOPS_CORE = 5e10
# A stream without a count is taken to have so many images.
_IMAGES_UNKNOWN = 1000


@dataclasses.dataclass(frozen=True)
class Plan:
    """`chunk` cotangents are pulled back at once for each of `batch` images."""

    chunk: int
    batch: int


def make_plan(
    cotangents: int, pixels: int, activation: int, *, batch: int | None = None, device=None
) -> Plan:
    """The default plan for `cotangents` VJPs an image of `pixels` inputs.

    `activation` is the size of one token array, tokens x width. Small problems are batched until
    one matrix product is worth its dispatch; large ones are cut into chunks. `batch` fixes the
    batch. Scores do not depend on the plan but for rounding.
    """
    device = device or default_device()
    cpu = device.platform == "cpu"
    target = _ELEMENTS_CPU if cpu else _ELEMENTS_ACCELERATOR
    if batch is None:
        fits = _memory(device) // (cotangents * pixels * 4)
        batch = max(1, min(32, fits, target // (cotangents * activation)))
    chunk = max(1, target // (activation * batch))
    if cpu:
        most = max(2, _ELEMENTS_CPU_MOST // (activation * batch))
        chunk = max(chunk, min(_COTANGENTS_CPU, most))
    return Plan(chunk=min(cotangents, chunk), batch=batch)


def plan_for(
    encoder: Encoder,
    height: int,
    width: int,
    batch: int | None = None,
    estimator: Estimator | None = None,
) -> Plan:
    """The default plan of an encoder's score for images of this size.

    On an accelerator a method of few VJPs has more images a batch than the exact score. A CPU is
    busy with few, and has the exact score's plan for all methods.
    """
    config, device = encoder.config, default_device()
    rows, columns = config.grid(height, width)
    k, pixels = encoder.embedding_size, height * width * config.channels
    cotangents = k
    if estimator is not None and device.platform != "cpu":
        cotangents = max(1, min(k, round(estimator.cost(k, pixels)[0])))
    return make_plan(
        cotangents=cotangents,
        pixels=pixels,
        activation=(rows * columns + config.prefix) * config.width,
        batch=batch,
        device=device,
    )


@functools.cache
def _memory(device) -> int:
    """Bytes that a batch's Jacobians may take on this device."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if not stats or "bytes_limit" not in stats:
        return _MEMORY_CPU
    return int(stats["bytes_limit"] * _MEMORY_SHARE)


def worthwhile(
    encoder: Encoder, estimator: Estimator, images: int | None, batch: int | None = None
) -> int:
    """How many processes to score so many images in (None: not known): one a core, or 1.

    `batch` images at once, by default the plan's. 1 where JAX does not run on a CPU, where the run
    is short, and where memory is.
    """
    # Imported here: the choice is made at the edge.
    import psutil

    cores = len(available_cores())
    if default_device().platform != "cpu" or cores == 1:
        return 1
    height, width, _ = encoder.input_shape
    plan = plan_for(encoder, height, width, batch)
    cost = cost_of(encoder.config, encoder.rule, estimator, height, width, plan.chunk)
    images = _IMAGES_UNKNOWN if images is None else images
    if images * cost.flops / (FLOPS_CORE * cores) < _SECONDS_WORTH:
        return 1
    parameters = encoder.parameter_bytes
    each = parameters + plan.batch * cost.memory + _BYTES_WORKER
    return max(1, min(cores, int(psutil.virtual_memory().available // each)))
