"""What it costs that blocks keep their inputs alone, and compute the rest again for every chunk.

Blocks of ViT-L (width 1024), random parameters: CPU seconds of one chunk of cotangents with and
without, in turn, and XLA's plan of a whole exact score of ViT-L both ways.
"""

import dataclasses
import time

import jax
import numpy as np
from flax import nnx

from benchmarks.memory.planned import configured, memory_of_shape
from jepa_jax import jacobian
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.training.trainer import initial_model

ENCODER, SIZE = "facebook/dinov2-large", 224
# A few blocks: the price of one is that of all.
BLOCKS = 2
# Of the timed blocks: for a CLS embedding the last block is never computed again.
RULE = EmbeddingRule("mean")
CHUNKS = (2, 4)


class Recomputed(ViTConfig):
    """A shape whose blocks keep their inputs alone, whatever its depth."""

    recompute = True


class Kept(ViTConfig):
    """A shape whose blocks keep all that a derivative needs, whatever its depth."""

    recompute = False


def as_(kind: type[ViTConfig], config: ViTConfig, **changes) -> ViTConfig:
    """The same shape with changes, of this kind."""
    return kind(**dataclasses.asdict(dataclasses.replace(config, **changes)))


def seconds_a_chunk(config: ViTConfig, chunk: int):
    """A function of no arguments: CPU seconds of one chunk more, from products of 1 and of 4."""
    graph, state = nnx.split(initial_model(config, jax.random.key(0)))
    image = jax.random.normal(jax.random.key(1), (SIZE, SIZE, config.channels))

    def rows(state, image, cotangents):
        model = nnx.merge(graph, state)
        operator = jacobian(
            lambda u: embeddings.embed(model, RULE, model.tokens_at(u)),
            model.coordinates(image),
            chunk=chunk,
        )
        return operator.rows(cotangents)

    compiled = jax.jit(rows)
    one, four = (jax.random.normal(jax.random.key(2), (n * chunk, config.width)) for n in (1, 4))

    def timed(cotangents: jax.Array) -> float:
        began = time.process_time()
        jax.block_until_ready(compiled(state, image, cotangents))
        return time.process_time() - began

    for cotangents in (one, four):  # Compiled and warm.
        timed(cotangents)
    return lambda: (timed(four) - timed(one)) / 3


def run(repeats: int) -> dict:
    """CPU seconds by chunk, the ratio turn by turn, and the memory of a whole score."""
    config, rule = configured(ENCODER)
    price = {}
    for chunk in CHUNKS:
        works = [
            seconds_a_chunk(as_(kind, config, depth=BLOCKS), chunk) for kind in (Kept, Recomputed)
        ]
        turns = np.array([[work() for work in works] for _ in range(repeats)])
        ratios = turns[:, 1] / turns[:, 0]
        price[chunk] = {
            "kept_cpu_seconds": float(np.median(turns[:, 0])),
            "recomputed_cpu_seconds": float(np.median(turns[:, 1])),
            "times": float(np.median(ratios)),
            "times_range": [float(ratios.min()), float(ratios.max())],
        }
        print(f"chunks of {chunk}: {price[chunk]['times']:.2f} times the time", flush=True)
    memory = {
        name: memory_of_shape(as_(kind, config), rule, SIZE)
        for name, kind in (("kept", Kept), ("recomputed", Recomputed))
    }
    return {
        "encoder": ENCODER,
        "pixels": SIZE,
        "width": config.width,
        "blocks_timed": BLOCKS,
        "repeats": repeats,
        "by_chunk": price,
        "exact_score": memory,
    }
