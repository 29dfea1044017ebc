"""V-JEPA 2.1's encoder in PyTorch: our own, of what is published of it; `transformers` has none.

Written apart from the package's: rotations as products of complex numbers, positions by `linspace`,
attention and convolutions by PyTorch. Parameters have Meta's names.
"""

import dataclasses
import json
import types
from pathlib import Path

import safetensors.torch
import torch
from torch import nn


@dataclasses.dataclass(frozen=True)
class Shape:
    """config.json's fields."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    crop_size: int
    patch_size: int
    mlp_ratio: float = 4.0

    def save_pretrained(self, folder: Path) -> None:
        hub = {"model_type": "vjepa2_1"} | dataclasses.asdict(self)
        (Path(folder) / "config.json").write_text(json.dumps(hub))


class VJEPA21(nn.Module):
    """Of images (B, 3, H, W) or clips (B, 3, T, H, W); T is even."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.config, w = shape, shape.hidden_size
        self.patch_embed = _tubelets(w, 2, shape.patch_size)
        self.patch_embed_img = _tubelets(w, 1, shape.patch_size)
        self.video_mod_embed = nn.Parameter(torch.zeros(1, 1, w))
        self.img_mod_embed = nn.Parameter(torch.zeros(1, 1, w))
        self.blocks = nn.ModuleList([_block(shape) for _ in range(shape.num_hidden_layers)])
        # Of four depths; what leaves the encoder has passed the last of them.
        self.norms_block = nn.ModuleList([nn.LayerNorm(w, 1e-6) for _ in range(4)])

    def forward(self, pixel_values, output_hidden_states=True):
        if pixel_values.ndim == 4:
            grid = self.patch_embed_img.proj(pixel_values[:, :, None])
            added = self.img_mod_embed
        else:
            grid, added = self.patch_embed.proj(pixel_values), self.video_mod_embed
        turns = rotations(self.config, *grid.shape[2:])
        x = grid.flatten(2).mT + added
        states = [x]
        for block in self.blocks:
            x = x + self._attention(block["attn"], block["norm1"](x), turns)
            x = x + self._mlp(block["mlp"], block["norm2"](x))
            states.append(x)
        last = self.norms_block[-1](x)
        return types.SimpleNamespace(hidden_states=states, last_hidden_state=last)

    def _attention(self, layer, x, turns):
        heads = lambda t: t.unflatten(-1, (self.config.num_attention_heads, -1)).transpose(1, 2)
        q, k, v = (heads(t) for t in layer["qkv"](x).chunk(3, -1))
        q, k = (rotated(t, turns) for t in (q, k))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return layer["proj"](mixed.transpose(1, 2).flatten(2))

    def _mlp(self, layer, x):
        return layer["fc2"](nn.functional.gelu(layer["fc1"](x)))

    def save_pretrained(self, folder: Path) -> None:
        self.config.save_pretrained(folder)
        safetensors.torch.save_file(self.state_dict(), Path(folder) / "model.safetensors")


def _tubelets(width: int, frames: int, patch: int) -> nn.Module:
    kernel = (frames, patch, patch)
    return nn.ModuleDict({"proj": nn.Conv3d(3, width, kernel, stride=kernel)})


def _block(shape: Shape) -> nn.Module:
    w, hidden = shape.hidden_size, int(shape.hidden_size * shape.mlp_ratio)
    linears = lambda **sizes: nn.ModuleDict({n: nn.Linear(*io) for n, io in sizes.items()})
    parts = {
        "norm1": nn.LayerNorm(w, 1e-6),
        "attn": linears(qkv=(w, 3 * w), proj=(w, w)),
        "norm2": nn.LayerNorm(w, 1e-6),
        "mlp": linears(fc1=(w, hidden), fc2=(hidden, w)),
    }
    return nn.ModuleDict(parts)


def rotations(shape: Shape, tubelets: int, rows: int, columns: int) -> torch.Tensor:
    """e^(i angle) by token and pair of channels, complex128: a third of the pairs by each axis."""
    pairs = shape.hidden_size // shape.num_attention_heads // 3 // 2
    # 256 pixels are what rows and columns count from 0 up to; tubelets are counted.
    last = 256 // shape.patch_size - 1
    ends = [(tubelets - 1, tubelets), (last, rows), (last, columns)]
    places = torch.meshgrid(
        *(torch.linspace(0, *e, dtype=torch.float64) for e in ends), indexing="ij"
    )
    frequencies = 10_000.0 ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    angles = torch.cat([p.reshape(-1, 1) * frequencies for p in places], dim=1)
    return torch.polar(torch.ones_like(angles), angles)


def rotated(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Neighbouring channels as one complex number, turned; the last ones stay."""
    channels = 2 * turns.shape[1]
    numbers = torch.view_as_complex(x[..., :channels].unflatten(-1, (-1, 2)).contiguous())
    turned = torch.view_as_real(numbers * turns.to(numbers.dtype)).flatten(-2)
    return torch.cat([turned, x[..., channels:]], dim=-1)
