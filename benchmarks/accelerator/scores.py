"""Seconds an image, memory and agreement of our scores: by method, precision, batch and chunk.

The programs of a part are compiled at the same time in threads, and then timed one by one: a GPU's
compiler tries products out on the device, beside which nothing can be timed.
"""

import concurrent.futures
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.subjects import SUBJECTS, encoder_of, images_of
from benchmarks.accelerator.timing import error_of, seconds_of
from benchmarks.shared.sketches import random_sketch
from jepa_jax import Exact, Scorer
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.vjp_flops import vjp_flops
from jepa_jax.precisions import Precision
from jepa_jax.scoring.keys import keys_of
from jepa_jax.scoring.numerics import numerics
from jepa_jax.xla import jit

SKETCH = 32
# The best first: what the time does not suffice for is left out.
_METHODS: tuple[tuple[str, Precision, int | None], ...] = (
    ("exact", "highest", None),
    ("exact", "bf16", None),
    ("sketch", "bf16", 8),
    ("sketch", "highest", 8),
    ("exact", "tf32", None),
    ("sketch", "tf32", 8),
    ("exact", "bf16x3", None),
    ("exact", "tf32x3", None),
    ("sketch", "bf16", 32),
    ("sketch", "bf16", None),
    ("sketch", "bf16x3", 8),
    ("sketch", "tf32x3", 8),
)
# Of an exact score: images at once, and the share of the K cotangents that is a chunk.
_SIZES = ((1, 2), (4, 4), (1, 8), (8, 4), (1, 1), (4, 8), (16, 8), (8, 16), (4, 2), (16, 16))


@dataclasses.dataclass(frozen=True)
class Program:
    """One compiled program: a method at a precision, of a batch and a chunk (None: the plan's)."""

    method: str
    precision: Precision
    batch: int | None = None
    chunk: int | None = None


def programs(part: str, k: int, tiny: bool) -> list[Program]:
    """What a part compiles, the most telling first; `k`: the encoder's coordinates."""
    if part == "sizes":
        sizes = _SIZES[:1] if tiny else _SIZES
        precisions: tuple[Precision, ...] = ("bf16",) if tiny else ("bf16", "highest")
        grid = itertools.product(sizes, precisions)
        return [Program("exact", p, batch, max(1, k // share)) for (batch, share), p in grid]
    if part != "small":
        return [Program(*settings) for settings in _METHODS[: 1 if tiny else 4]]
    return [Program(*settings) for settings in (_METHODS[:3] if tiny else _METHODS)]


def rows(part: str, left: Callable[[], float], tiny: bool) -> Iterator[dict[str, Any]]:
    """A row of every program of the part; in "small", of plain JAX too."""
    subject = SUBJECTS["small" if part == "sizes" else part]
    encoder = encoder_of(subject, tiny)
    asked = programs(part, encoder.embedding_size, tiny)
    wait = left() * 0.65
    with concurrent.futures.ThreadPoolExecutor(min(12, os.cpu_count() or 1)) as pool:
        compiling = []
        for program in asked:
            compiling.append((program, *_start(pool, encoder, program)))
            if left() < wait / 2:
                break
        concurrent.futures.wait([c[-1] for c in compiling], timeout=max(0.0, left() - wait / 2))
        # What is ready first; the others, if there is time to wait for them.
        for program, scorer, compiled in sorted(compiling, key=lambda c: not c[-1].done()):
            yield _measured(subject.name, program, scorer, compiled, left)
    if part == "small":
        for precision in ("highest", "tensorfloat32")[: 1 if tiny else 2]:
            yield _plain_jax(subject.name, encoder, precision, left)
    stats = jax.local_devices()[0].memory_stats() or {}
    yield {"what": "memory", "encoder": subject.name, "peak_bytes": stats.get("peak_bytes_in_use")}


def scorer_of(encoder: Encoder, program: Program) -> Scorer:
    """The scorer whose program is compiled."""
    estimator = (
        Exact()
        if program.method == "exact"
        else random_sketch(encoder, min(SKETCH, encoder.embedding_size // 4))
    )
    return Scorer(
        encoder,
        estimator,
        precision=program.precision,
        batch_size=program.batch,
        chunk=program.chunk,
        devices=1,
    )


def _start(pool, encoder: Encoder, program: Program):
    """The scorer, and a future of its compiled program with the seconds that it took."""
    scorer = scorer_of(encoder, program)
    with numerics(program.precision):
        lowered = scorer.traced(encoder.image_size, encoder.image_size).lower()

    def compile():
        began = time.perf_counter()
        return lowered.compile(), time.perf_counter() - began

    return scorer, pool.submit(compile)


def _measured(
    name: str, program: Program, scorer: Scorer, compiled, left: Callable[[], float]
) -> dict[str, Any]:
    encoder, side = scorer.encoder, scorer.encoder.image_size
    plan = scorer.plan(side, side)
    vjps = scorer.estimator.cost(encoder.embedding_size, side * side * 3)[0]
    row: dict[str, Any] = {
        "what": "score",
        "encoder": name,
        "method": program.method,
        "precision": program.precision,
        "batch": plan.batch,
        "chunk": plan.chunk,
        "by_plan": program.batch is None,
        "elements": elements(encoder, plan.batch, plan.chunk),
        "flop_an_image": vjps * vjp_flops(encoder.config, encoder.rule, side, side),
    }
    try:
        run, row["compile_seconds"] = compiled.result(timeout=max(0.0, left()))
        memory, cost = run.memory_analysis(), run.cost_analysis() or {}
        row["planned_bytes"] = getattr(memory, "temp_size_in_bytes", None)
        row["bytes_an_image"] = cost.get("bytes accessed", float("nan")) / plan.batch
        fitted = None if program.method == "exact" else scorer.estimator
        keys = keys_of(0, [f"{i}" for i in range(plan.batch)])
        images = jnp.asarray(images_of(side, plan.batch))
        work = lambda: jax.block_until_ready(run(encoder.state, fitted, images, keys))
        found = seconds_of(work, left)
        estimate, _ = work()[0]  # Of the only rule.
        row |= {name: np.divide(value, plan.batch).tolist() for name, value in found.items()}
        row["scores"] = np.asarray(estimate.log_volume)[:4].tolist()
    except Exception as error:  # Out of memory, as a rule: the others are measured.
        row["failed"] = error_of(error)
    return row


def elements(encoder: Encoder, batch: int, chunk: int) -> int:
    """Of one activation for so many images and cotangents: what a plan is made by."""
    grid = encoder.config.grid(encoder.image_size, encoder.image_size)
    tokens = grid[0] * grid[1] + encoder.config.prefix
    return batch * chunk * tokens * encoder.config.width


def _plain_jax(
    name: str, encoder: Encoder, precision: str, left: Callable[[], float]
) -> dict[str, Any]:
    """`jax.jacrev` of the same encoder, all cotangents at once, and the SVD of its K x D matrix."""
    row: dict[str, Any] = {
        "what": "score",
        "encoder": name,
        "method": "jax.jacrev + SVD",
        "precision": precision,
        "batch": 1,
    }
    live = (
        encoder.embedding_size
        - encoder.null_basis(encoder.state, jnp.zeros(encoder.embedding_size)).shape[1]
    )

    def score(state, image):
        rows = jax.jacrev(lambda x: encoder.embed(state, x))(image)
        sigma = jnp.linalg.svd(rows.reshape(len(rows), -1), compute_uv=False)
        return jnp.log(sigma[:live]).sum()

    image = jnp.asarray(images_of(encoder.image_size, 1)[0])
    try:
        began = time.perf_counter()
        with jax.default_matmul_precision(precision):
            run = jit(score).trace(encoder.state, image).lower().compile()
        row["compile_seconds"] = time.perf_counter() - began
        row["planned_bytes"] = getattr(run.memory_analysis(), "temp_size_in_bytes", None)
        row |= seconds_of(lambda: run(encoder.state, image).block_until_ready(), left)
        row["scores"] = [float(run(encoder.state, image))]
    except Exception as error:
        row["failed"] = error_of(error)
    return row
