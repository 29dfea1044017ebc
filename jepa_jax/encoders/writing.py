"""Writes a model as a checkpoint folder."""

import json
from pathlib import Path

import numpy as np
from flax import nnx
from safetensors.numpy import save

from jepa_jax.atomic_files import remove_leftovers, replace, replace_text
from jepa_jax.encoders.families import find_family
from jepa_jax.encoders.stored_tensors import Stored


def write_checkpoint(
    folder: Path | str, hub_config: dict, preprocessor_config: dict, model: nnx.Module
) -> None:
    """Writes a `ViT` as a checkpoint folder that `load_encoder` and `transformers` load.

    `hub_config` is the content of config.json (its `model_type` names the family) and
    `preprocessor_config` that of preprocessor_config.json; the weights keep their dtype, in one
    model.safetensors under the family's names. The folder is made; each file is replaced whole or
    not at all, and a link in its place is not followed.

    Raises `ValueError` where the model's parameters are not those of `hub_config`.
    """
    arrays = {
        ".".join(map(str, path)): np.asarray(parameter[...])
        for path, parameter in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    wanted = stored_parameters(hub_config)
    if arrays.keys() != wanted.keys():
        odd = sorted(arrays.keys() ^ wanted.keys())
        raise ValueError(f"`hub_config` and `model` differ in the parameters {odd}")
    tensors = {}
    for ours, stored in wanted.items():
        try:
            parts = stored.disassemble(arrays[ours])
        except ValueError as error:
            raise ValueError(f"`{ours}` {arrays[ours].shape} does not fit `hub_config`") from error
        for (name, shape), part in zip(stored.shapes.items(), parts, strict=True):
            if part.shape != shape:
                raise ValueError(
                    f"`hub_config` needs `{name}` of shape {shape}, the model gives {part.shape}"
                )
            # safetensors writes the buffer, whatever the strides say.
            tensors[name] = np.ascontiguousarray(part)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    for file, content in (
        ("config.json", hub_config),
        ("preprocessor_config.json", preprocessor_config),
    ):
        replace_text(folder / file, json.dumps(content, indent=2) + "\n")
    weights = save(tensors, metadata={"format": "pt"})
    replace(folder / "model.safetensors", lambda written: written.write(weights))


def stored_parameters(hub: dict) -> dict[str, Stored]:
    """Our parameter names to stored tensors, for a configuration in the hub's form."""
    family = find_family(hub)
    return family.parameters(family.config(hub))
