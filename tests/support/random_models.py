"""Transformers with random parameters."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jepa_jax.encoders.parameters import abstract_model, fill


def random_model(config, seed=0):
    rng = np.random.default_rng(seed)
    state = nnx.to_flat_state(nnx.state(abstract_model(config)))
    arrays = {
        ".".join(map(str, path)): 0.3 * rng.standard_normal(leaf.shape)
        + (path[-1] in ("scale", "bias"))
        for path, leaf in state
    }
    return fill(config, arrays, jax.dtypes.canonicalize_dtype(jnp.float64))
