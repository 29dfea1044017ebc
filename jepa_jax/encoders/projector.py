"""The projector behind an encoder's pooled token, where joint-embedding methods train one."""

import dataclasses
from typing import Literal

from flax import nnx
from jaxtyping import Array, Float

from jepa_jax.encoders.activations import ACTIVATIONS
from jepa_jax.encoders.layers import Linear


@dataclasses.dataclass(frozen=True)
class ProjectorConfig:
    """The shape of a projector: linear layers, some with an activation between them.

    `widths`, `biases`: of every layer's output. `activated`: before every layer but the first,
    whether its input goes through `activation`. `pool`: the token that the first is given.
    """

    widths: tuple[int, ...]
    biases: tuple[bool, ...]
    activated: tuple[bool, ...]
    activation: str = "relu"
    pool: Literal["cls", "mean"] = "cls"

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {sorted(ACTIVATIONS)}, got {self.activation!r}"
            )
        if not len(self.widths) == len(self.biases) == len(self.activated) + 1:
            raise ValueError(f"`widths`, `biases` and `activated` differ in their layers: {self}")

    def passes_zero(self, place: int) -> bool:
        """Whether what follows layer `place` maps it by its own Jacobian: no bias, and activations
        that are linear along every ray."""
        straight = self.activation == "relu" or not any(self.activated[max(place - 1, 0) :])
        return straight and not any(self.biases[place:])


class Projector(nnx.Module):
    """Linear layers and activations on one token. Places in it: 0, the token that it is given;
    i, the output of its i-th layer, before an activation."""

    def __init__(self, width: int, config: ProjectorConfig):
        self.config = config
        inputs = (width, *config.widths[:-1])
        each = zip(inputs, config.widths, config.biases, strict=True)
        self.layers = nnx.List([Linear(n, m, bias=bias) for n, m, bias in each])
        self.activation = ACTIVATIONS[config.activation]

    def __call__(
        self, x: Float[Array, " n"], start: int = 0, stop: int | None = None
    ) -> Float[Array, " m"]:
        """From place `start` to place `stop`, by default the end."""
        for i, layer in enumerate(list(self.layers)[:stop]):
            if i < start:
                continue
            x = layer(self.activation(x) if i and self.config.activated[i - 1] else x)
        return x
