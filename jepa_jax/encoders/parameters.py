"""A transformer without memory for its parameters, and filled with them."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from jepa_jax.encoders.vision_transformer import ViT
from jepa_jax.encoders.vit_config import ViTConfig

_DTYPES = ("float32", "float64", "bfloat16", "float16")


def abstract_model(config: ViTConfig) -> ViT:
    """The transformer of this shape without memory for its parameters."""
    return nnx.merge(*_abstract(config, jax.config.read("jax_enable_x64")))


@functools.lru_cache(64)  # Takes .1 to 1 s of a deep one.
def _abstract(config: ViTConfig, x64: bool) -> tuple[nnx.GraphDef, nnx.State]:
    return nnx.split(nnx.eval_shape(functools.partial(ViT, config)))


def parameter_count(config: ViTConfig) -> int:
    """How many numbers the transformer of this shape has; its blocks are all alike."""
    one, two = (_count(dataclasses.replace(config, depth=depth)) for depth in (1, 2))
    return one + (config.depth - 1) * (two - one)


def _count(config: ViTConfig) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(abstract_model(config))))


def parameter_dtype(dtype: DTypeLike) -> np.dtype:
    """The type of parameters that `dtype` names; `ValueError` where they cannot have it."""
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in _DTYPES:
        raise ValueError(f"`dtype` must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    if jax.dtypes.canonicalize_dtype(found) != found:
        raise ValueError(
            f"`dtype` {found.name} needs 64-bit JAX, which would make it float32 in silence: "
            "`with jax.enable_x64(True):`, or JAX_ENABLE_X64=1 in the environment"
        )
    return found


def fill(config: ViTConfig, arrays: dict[str, np.ndarray], dtype: DTypeLike) -> ViT:
    """A transformer with these parameters, by our names, as `dtype`."""
    model = abstract_model(config)
    graph, state = nnx.split(model)
    flat = dict(nnx.to_flat_state(state))
    names = {".".join(map(str, path)): path for path in flat}
    if names.keys() != arrays.keys():
        raise ValueError(
            f"parameters do not match: {sorted(names.keys() ^ arrays.keys())} on one side only"
        )
    dtype = parameter_dtype(dtype)
    for name, path in names.items():
        array = np.asarray(arrays[name])
        if array.shape != flat[path].shape:
            raise ValueError(f"`{name}` must have shape {flat[path].shape}, got {array.shape}")
        flat[path] = flat[path].replace(jnp.asarray(array.astype(dtype, copy=False)))
    return nnx.merge(graph, nnx.from_flat_state(flat))
