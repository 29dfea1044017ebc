"""How much to compute at once: cotangents a chunk and images a batch."""

import dataclasses
import functools

import jax

from jepa_jax.encoders import Encoder

# Elements (cotangents x tokens x width x images) of one activation that fill an accelerator: an
# estimate, not yet measured on one.
_ELEMENTS_ACCELERATOR = 2**24
# The same on a CPU: what is worth a dispatch, and what may not be passed by more than a few
# cotangents, so that a chunk's values stay a fraction of the Jacobian's rows. Chunks of 4 to 16
# are within a machine's noise of each other (benchmarks/exact.py, benchmarks/memory.py).
_ELEMENTS_CPU = 2**17
_ELEMENTS_CPU_MOST = 720_000
_COTANGENTS_CPU = 8
# The most a batch's Jacobians may take: of an accelerator's memory, and of a computer's.
_MEMORY_SHARE = 0.25
_MEMORY_CPU = 2 * 2**30


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
    device = device or jax.devices()[0]
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


def plan_for(encoder: Encoder, height: int, width: int, batch: int | None = None) -> Plan:
    """The default plan of an encoder's exact score for images of this size."""
    config = encoder.config
    rows, columns = config.grid(height, width)
    return make_plan(
        cotangents=encoder.embedding_size,
        pixels=height * width * config.channels,
        activation=(rows * columns + config.prefix) * config.width,
        batch=batch,
    )


@functools.cache
def _memory(device) -> int:
    """Bytes that a batch's Jacobians may take on this device."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if not stats or "bytes_limit" not in stats:
        return _MEMORY_CPU
    return int(stats["bytes_limit"] * _MEMORY_SHARE)
