"""Seconds an image for what detectors read: embedding, scores, JPEG size."""

import functools
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jepa_jax.data import open_source
from jepa_jax.data.image_facts import image_facts
from jepa_jax.scoring import Scorer
from jepa_jax.scoring.numerics import matmul_precision
from jepa_jax.xla import jit

_IMAGES = 32
_TURNS = 3


def input_seconds(
    scorers: Mapping[str, Scorer], source: Any, *, at_any_cost: bool = False
) -> dict[str, float]:
    """Warm seconds an image of each column, on the first images of `source`: the least of 3 turns.

    `scorers`: column to what makes it. Computing alone, without reading and preprocessing; empty
    where no image can be read.
    """
    pictures = []
    for record in itertools.islice(iter(open_source(source)), 4 * _IMAGES):
        try:
            pictures.append(record.load())
        except Exception:  # Its row says why.
            continue
        if len(pictures) == _IMAGES:
            break
    if not pictures:
        return {}
    first = next(iter(scorers.values()))
    encoder = first.encoder
    inputs = np.stack([encoder.preprocess(picture) for picture in pictures])
    embed = jit(jax.vmap(encoder.embed, (None, 0)))

    def forward() -> None:
        with matmul_precision(first.precision):
            jax.block_until_ready(embed(encoder.state, inputs))

    seconds = {
        "embedding": _seconds(forward, len(inputs)),
        "bits_per_pixel": _seconds(lambda: [image_facts(p) for p in pictures], len(inputs)),
    }
    for column, scorer in scorers.items():
        score = functools.partial(scorer.score, inputs, at_any_cost=at_any_cost)
        seconds[column] = _seconds(score, len(inputs))
        if hasattr(scorer.estimator, "spectrum"):
            seconds["log_frobenius"] = seconds[column]
    return seconds


def _seconds(work: Callable[[], object], images: int) -> float:
    """The least of a few turns, after one that compiles."""
    work()
    turns = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        work()
        turns.append(time.perf_counter() - began)
    return min(turns) / images
