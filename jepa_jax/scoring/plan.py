"""How much to compute at once: cotangents a chunk and images a batch."""

import dataclasses
import functools

import jax

# Tokens (cotangents x tokens x images) in one matrix product. On a CPU, what keeps a chunk's
# intermediate values near the cache; on an accelerator, what fills it. CPU: measured
# (benchmarks/results/exact.json); others: not yet.
_TOKENS = {"cpu": 2048}
_TOKENS_ACCELERATOR = 32768
# The most a batch's Jacobians may take: of an accelerator's memory, and of a computer's.
_MEMORY_SHARE = 0.25
_MEMORY_CPU = 2 * 2**30


@dataclasses.dataclass(frozen=True)
class Plan:
    """`chunk` cotangents are pulled back at once for each of `batch` images."""

    chunk: int
    batch: int


def make_plan(
    cotangents: int, pixels: int, tokens: int, *, batch: int | None = None, device=None
) -> Plan:
    """The default plan for `cotangents` VJPs an image of `pixels` inputs and `tokens` tokens.

    Small problems are batched until one matrix product is worth its dispatch; large ones are cut
    into chunks. `batch` fixes the batch. Scores do not depend on the plan but for rounding.
    """
    device = device or jax.devices()[0]
    target = _TOKENS.get(device.platform, _TOKENS_ACCELERATOR)
    if batch is None:
        fits = _memory(device) // (cotangents * pixels * 4)
        batch = max(1, min(32, fits, target // (cotangents * tokens)))
    chunk = max(1, min(cotangents, target // (tokens * batch)))
    return Plan(chunk=chunk, batch=batch)


@functools.cache
def _memory(device) -> int:
    """Bytes that a batch's Jacobians may take on this device."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if not stats or "bytes_limit" not in stats:
        return _MEMORY_CPU
    return int(stats["bytes_limit"] * _MEMORY_SHARE)
