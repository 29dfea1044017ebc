"""Meta's V-JEPA 2.1 and ours on the same weights and inputs."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.shared.tables import table
from jepa_jax import load_encoder
from jepa_jax.encoders.families.vjepa2_1 import FAMILY
from jepa_jax.encoders.family import full_config

SMALL = full_config(
    FAMILY,
    {"hidden_size": 96, "num_hidden_layers": 12, "num_attention_heads": 6, "crop_size": 128},
)


def published(name: str) -> dict:
    """config.json of a published file."""
    return full_config(FAMILY, FAMILY.published[name])


def metas(hub: dict) -> Any:
    """Meta's model of this shape, with the settings of its hub's encoders."""
    from app.vjepa_2_1.models.vision_transformer import VisionTransformer  # type: ignore

    side = hub.get("crop_size", 384)
    return VisionTransformer(
        img_size=(side, side),
        patch_size=16,
        num_frames=64,
        tubelet_size=2,
        embed_dim=hub["hidden_size"],
        depth=hub["num_hidden_layers"],
        num_heads=hub["num_attention_heads"],
        mlp_ratio=hub.get("mlp_ratio", 4.0),
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
        use_rope=True,
        img_temporal_dim_size=1,
        interpolate_rope=True,
    ).eval()


def random_state(hub: dict) -> dict[str, torch.Tensor]:
    """Random parameters under the names of published files, none of them trivial."""
    torch.manual_seed(0)
    state = metas(hub).state_dict()
    return {f"module.backbone.{n}": x + 0.1 * torch.randn(x.shape) for n, x in state.items()}


def compare(folder: Path, hub: dict, state: dict[str, torch.Tensor]) -> dict[str, dict[str, float]]:
    """Of each input and type, the largest difference of a layer, in its largest entry."""
    model = metas(hub)
    own = {n.replace("module.", "").replace("backbone.", ""): x for n, x in state.items()}
    model.load_state_dict(own, strict=True)
    side = hub.get("crop_size", 384)
    inputs = {
        f"image, {side} px": (1, side, side),
        f"image, {side // 2} x {side - 16} px": (1, side // 2, side - 16),
        # Whose places are whole numbers, which Meta's float32 holds.
        "clip of 6 frames, 256 px": (6, 256, 256),
    }
    return {
        name: {
            dtype: _difference(folder, model, shape, dtype, index)
            for dtype in ("float32", "float64")
        }
        for index, (name, shape) in enumerate(inputs.items())
    }


def _difference(
    folder: Path, model: Any, shape: tuple[int, int, int], dtype: str, seed: int
) -> float:
    frames = np.random.default_rng(seed).standard_normal((*shape, 3)).astype(dtype)
    clip = torch.from_numpy(frames.transpose(3, 0, 1, 2).copy())[None]
    states: list[Any] = []
    model.to(clip.dtype)
    hooks = [model.blocks[0].register_forward_pre_hook(lambda m, x: states.append(x[0].clone()))]
    hooks += [
        b.register_forward_hook(lambda m, x, out: states.append(out[0])) for b in model.blocks
    ]
    with torch.no_grad():
        states.append(model(clip))
    for hook in hooks:
        hook.remove()
    with jax.enable_x64(dtype == "float64"):
        count = None if shape[0] == 1 else shape[0]
        encoder = load_encoder(folder, frames=count, dtype=jnp.dtype(dtype))
        image = frames[0] if count is None else encoder._clip(frames)
        vit = encoder._model(encoder.state)
        ours = jax.jit(encoder.hidden_states)(encoder.state, image)
        ours = [np.asarray(x) for x in (*ours, vit.norm(ours[-1]))]
    pairs = zip(ours, [x[0].numpy() for x in states], strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def page(found: dict[str, dict[str, float]]) -> str:
    """A table of what `compare` found."""
    rows = [[name, *(f"{x:.1e}" for x in by.values())] for name, by in found.items()]
    return table(["input", "float32", "float64"], rows)
