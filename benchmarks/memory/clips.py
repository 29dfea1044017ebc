"""Memory of one score of a clip: 16 frames of 256 pixels by a V-JEPA 2 ViT-L of random weights."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.memory.planned import SKETCH, memory_of_shape, sketch
from benchmarks.shared.processes import measure
from jepa_jax import Lanczos, Projection, Sketch, jacobian
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.families import vjepa2
from jepa_jax.encoders.parameters import abstract_model, parameter_count
from jepa_jax.encoders.vjp_flops import vjp_flops
from jepa_jax.scoring.batch_sizes import make_plan

FRAMES = 16
NAME = "facebook/vjepa2-vitl-fpc64-256"
ESTIMATORS = {
    f"sketch, {SKETCH} cotangents": Sketch,
    "lanczos, 20 steps, 4 probes": Lanczos(),
    "projection": Projection(),
}


# What is run of each, in a process of its own: a few products of what a score takes by the hundred.
# Steps come one after the other in the same buffers, and so do chunks of cotangents: the peak is
# that of the whole score but for the rows that are kept, which `planned` has.
RUN = {
    "lanczos, 2 steps, 1 probe": Lanczos(steps=2, probes=1),
    "sketch, 2 cotangents": Sketch,
}
COTANGENTS = 2


def run(measured: bool = True) -> dict:
    """XLA's plan of each estimator, and what some products of it take, run one by one."""
    shape = _Shape()
    config, rule = shape.config, shape.rule
    k, d = rule.size(config), int(np.prod(shape.grid)) * config.width  # In patches' coordinates.
    found = {
        "clip": f"{FRAMES} frames of {shape.side} px, {NAME}, random weights",
        "K": k,
        "D": d,
        "exact_rows_megabytes": round(4e-6 * k * d),
        "gflop_a_vjp": round(1e-9 * vjp_flops(config, rule, shape.height, shape.side)),
        "parameters_megabytes": round(4e-6 * parameter_count(config)),
        "run": {},
        "planned": {},
    }
    for name in RUN if measured else ():
        command = [sys.executable, "-m", f"{__package__}.clips", name]
        found["run"][name] = row = measure(command)
        print(f"{name}: {row['peak_megabytes']:.0f} MB in all, run", flush=True)
    for name, estimator in ESTIMATORS.items():
        found["planned"][name] = row = memory_of_shape(
            config, rule, shape.height, estimator, shape.side
        )
        print(f"{name}: {row['peak_megabytes']:.0f} MB beside the parameters", flush=True)
    return found


class _Shape:
    """The encoder's configuration, and the array that a clip becomes."""

    def __init__(self):
        self.config = vjepa2.clips(vjepa2.FAMILY.published[NAME], FRAMES)
        self.rule = vjepa2.FAMILY.rule(self.config)
        self.side = self.config.image_size
        self.height = self.side * FRAMES // self.config.stored_tubelet
        self.grid = self.config.grid(self.height, self.side)


def run_one(name: str) -> None:
    """One score of a clip of noise, in this process."""
    shape, estimator = _Shape(), RUN[name]
    config, rule, grid = shape.config, shape.rule, shape.grid
    graph, abstract = nnx.split(abstract_model(config))
    rng = np.random.default_rng(0)

    def draw(leaf) -> jax.Array:
        return jnp.asarray(0.02 * rng.standard_normal(leaf.shape, np.float32))

    state = jax.tree.map(draw, abstract)
    fitted = None
    if estimator is Sketch:  # Its numbers mean nothing: what it costs does not depend on them.
        fitted = jax.tree.map(draw, sketch(rule.size(config), cotangents=COTANGENTS))
    d = int(np.prod(grid)) * config.width
    plan = make_plan(config.width, 3 * FRAMES * shape.side**2, d)

    @jax.jit
    def score(state, image, fitted):
        model = nnx.merge(graph, state)
        operator = jacobian(
            lambda u: embeddings.embed(model, rule, model.tokens_at(u), grid),
            model.coordinates(image),
            chunk=plan.chunk,
            null_basis=lambda z: embeddings.null_basis(model, rule, z),
        )
        return (fitted or estimator)(operator, jax.random.key(0)).log_volume

    image = rng.standard_normal((shape.height, shape.side, config.channels), np.float32)
    score(state, image, fitted).block_until_ready()


if __name__ == "__main__":
    run_one(sys.argv[1])
