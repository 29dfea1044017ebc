"""Encoders of known densities, trained once and kept, and their scores of points."""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from jepa_jax import Exact, jacobian
from jepa_jax.training.config import Training, read_model
from jepa_jax.training.networks import null_basis
from jepa_jax.training.training_run import run

TRAINED = Path(__file__).parents[2] / "build" / "density"
POINTS = 5000
EVALUATION_KEY = 10_000


def keep_compiled() -> None:
    """Equal programs, as of two seeds, are compiled once, and found again by the next run."""
    jax.config.update("jax_compilation_cache_dir", str(TRAINED / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def trained(config: str, changes: Mapping[str, Any]) -> tuple[Training, nnx.Module]:
    """The encoder of a committed configuration with changes; trained once, then read."""
    training = Training.read(config, changes)
    settings = json.dumps({"seed": training.seed, **training.tables}, sort_keys=True)
    folder = TRAINED / hashlib.sha256(settings.encode()).hexdigest()[:16]
    if (folder / "encoder").is_dir():
        return training, read_model(folder / "encoder", training)
    print(f"training {config} {dict(changes)}", flush=True)
    return training, run(training, folder, report_every=100)


def points(training: Training, count: int = POINTS, key: int = EVALUATION_KEY) -> jax.Array:
    """Held-out samples of the density."""
    return training.density.sample(jax.random.key(key), count)


@functools.cache
def _compiled(graph: nnx.GraphDef, normalized: bool):
    """Scores with embeddings, embeddings, and Jacobians, of batches of points; compiled once."""

    def score(state, x):
        operator = jacobian(
            nnx.merge(graph, state), x, null_basis=lambda z: null_basis(normalized, z)
        )
        return Exact()(operator).log_volume, operator.value

    def embed(state, x):
        return nnx.merge(graph, state)(x)

    return tuple(
        jax.jit(jax.vmap(f, (None, 0))) for f in (score, embed, jax.jacfwd(embed, argnums=1))
    )


def compiled(model: nnx.Module):
    """The functions of points that belong to a model."""
    graph, state = nnx.split(model)
    return tuple(functools.partial(f, state) for f in _compiled(graph, model.config.normalized))


def scored(model, x) -> tuple[np.ndarray, np.ndarray]:
    """The exact scores and the embeddings of points (N, ...)."""
    volume, z = compiled(model)[0](x)
    return np.asarray(volume, np.float64), np.asarray(z, np.float64)
