"""Memory of one score of a clip: 16 frames of 256 pixels by a V-JEPA 2 ViT-L of random weights."""

import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.memory.planned import SKETCH, memory_of_shape
from jepa_jax import Lanczos, Projection, Sketch, jacobian
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.cost import vjp_flops
from jepa_jax.encoders.families import vjepa2
from jepa_jax.encoders.parameters import abstract_model
from jepa_jax.scoring.batch_sizes import make_plan

FRAMES = 16
NAME = "facebook/vjepa2-vitl-fpc64-256"
ESTIMATORS = {
    f"sketch, {SKETCH} cotangents": Sketch,
    "lanczos, 20 steps, 4 probes": Lanczos(),
    "projection": Projection(),
}


def run(cotangents: int) -> dict:
    """XLA's plan of each estimator, and the peak of the process for some VJPs, run."""
    config = vjepa2.clips(vjepa2.FAMILY.published[NAME], FRAMES)
    rule = vjepa2.FAMILY.rule(config)
    side = config.image_size
    height = config.image_size * FRAMES // config.stored_tubelet
    rows, columns = config.grid(height, side)
    k, d = rule.size(config), rows * columns * config.width  # In the coordinates of the patches.
    found = {
        "clip": f"{FRAMES} frames of {side} px, {NAME}, random weights",
        "K": k,
        "D": d,
        "exact_rows_megabytes": round(4e-6 * k * d),
        "gflop_a_vjp": round(1e-9 * vjp_flops(config, rule, height, side)),
        "parameters_megabytes": round(4e-6 * _count(config)),
    }
    if cotangents:
        found |= {"measured": _measured(config, rule, height, cotangents)}
        print(found, flush=True)
    found["planned"] = {}
    for name, estimator in ESTIMATORS.items():
        found["planned"][name] = row = memory_of_shape(config, rule, height, estimator, side)
        print(f"{name}: {row['peak_megabytes']:.0f} MB beside the parameters", flush=True)
    return found


def _count(config) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(abstract_model(config))))


def _measured(config, rule, height: int, count: int) -> dict:
    """Peak resident memory, and seconds, of `count` VJPs that share a forward pass."""
    graph, abstract = nnx.split(abstract_model(config))
    rng = np.random.default_rng(0)
    draw = lambda leaf: jnp.asarray(0.02 * rng.standard_normal(leaf.shape), jnp.float32)
    state = jax.tree.map(draw, abstract)
    grid = config.grid(height, config.image_size)
    plan = make_plan(config.width, 3 * FRAMES * config.image_size**2, np.prod(grid) * config.width)

    @jax.jit
    def rows(state, image, cotangents):
        model = nnx.merge(graph, state)
        operator = jacobian(
            lambda u: embeddings.embed(model, rule, model.tokens_at(u), grid),
            model.coordinates(image),
            chunk=plan.chunk,
        )
        found = operator.rows(cotangents)
        return found @ found.T

    shape = (height, config.image_size, config.channels)
    image = rng.standard_normal(shape, np.float32)
    cotangents = rng.standard_normal((count, config.width), np.float32)
    began = time.process_time()
    program = rows.lower(state, image, cotangents).compile()
    compiled = time.process_time()
    program(state, image, cotangents).block_until_ready()
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "vjps": count,
        "chunk": plan.chunk,
        "peak_resident_megabytes": round(
            1e-6 * unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ),
        "cpu_seconds_compiling": round(compiled - began),
        "cpu_seconds": round(time.process_time() - compiled),
    }
