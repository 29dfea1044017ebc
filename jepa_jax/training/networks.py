"""Small encoders to train from scratch: a multilayer perceptron and a residual network, in NNX.

The vision transformer is `jepa_jax.encoders.vision_transformer`. All map one input, without a batch
dimension, to one embedding, and none has a layer whose output depends on the batch.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
}


def _activation(name: str) -> Callable[[Array], Array]:
    if name not in ACTIVATIONS:
        raise ValueError(f"`activation` must be one of {', '.join(ACTIVATIONS)}; got {name!r}")
    return ACTIVATIONS[name]


@dataclasses.dataclass(frozen=True)
class MLPConfig:
    """`inputs` -> `width` (`depth` times) -> `embedding` coordinates.

    The input is divided by `scale`, its standard deviation or so. `normalized`: the embedding is
    divided by its length. `activation`: a smooth one of `ACTIVATIONS`, as the Jacobian of one with
    kinks is piecewise constant. `spectral`: every matrix is divided by its largest singular value
    where that is above this number, so that it bounds the layer's Lipschitz constant.
    """

    inputs: int
    embedding: int
    width: int = 64
    depth: int = 2
    activation: str = "gelu"
    scale: float = 1.0
    normalized: bool = False
    spectral: float | None = None


class MLP(nnx.Module):
    """A multilayer perceptron: see `MLPConfig`."""

    def __init__(self, config: MLPConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.activation = _activation(config.activation)
        sizes = [config.inputs, *[config.width] * config.depth, config.embedding]
        pairs = list(itertools.pairwise(sizes))
        normal = jax.random.normal
        self.kernels = nnx.List(
            nnx.Param(normal(rngs.params(), (n, m)) / math.sqrt(n)) for n, m in pairs
        )
        # Biases of zero would put every ridge of the first layer through the origin.
        self.biases = nnx.List(nnx.Param(0.1 * normal(rngs.params(), (m,))) for _, m in pairs)

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, " k"]:
        """The embedding of one input; arrays of any shape are flattened."""
        h = x.ravel() / self.config.scale
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            weights = kernel[...]
            if self.config.spectral is not None:
                weights = bounded(weights, self.config.spectral)
            h = h @ weights + bias[...]
            if i < len(self.kernels) - 1:
                h = self.activation(h)
        return h / jnp.linalg.norm(h) if self.config.normalized else h


def bounded(
    kernel: Float[Array, "n m"], limit: float | Float[Array, ""], iterations: int = 8
) -> Float[Array, "n m"]:
    """`kernel`, scaled down to a largest singular value of about `limit` where it is above.

    By power iteration from a fixed start: a lower bound of the singular value, within a few per
    cent for the sizes used here. Source: Miyato et al., Spectral Normalization, arXiv 1802.05957.
    """
    v = jnp.ones(kernel.shape[1], kernel.dtype)
    for _ in range(iterations):
        u = kernel @ v
        v = kernel.T @ (u / jnp.linalg.norm(u))
        v = v / jnp.linalg.norm(v)
    v = jax.lax.stop_gradient(v)
    largest = jnp.linalg.norm(kernel @ v)
    return kernel * jnp.minimum(1.0, limit / largest)


@dataclasses.dataclass(frozen=True)
class ResNetConfig:
    """A residual network of images (H, W, C) or (H, W).

    A 3 x 3 convolution, `blocks` residual blocks of `width` channels in each of `stages` stages,
    the width doubled and the sides halved between stages, and a linear map of the last feature map
    (`side` / 2^(stages - 1) squared positions: no pooling, which would forget where things are) to
    `embedding` coordinates. Pixels are (x - mean) / std first. Group normalisation before every
    activation: it depends on one image alone, where batch normalisation does not.
    """

    side: int
    embedding: int
    channels: int = 1
    width: int = 16
    stages: int = 2
    blocks: int = 1
    groups: int = 4
    activation: str = "gelu"
    mean: float = 0.5
    std: float = 0.25
    normalized: bool = False


class _Block(nnx.Module):
    """x + conv(act(norm(conv(act(norm(x))))))."""

    def __init__(self, width: int, groups: int, activation, *, rngs: nnx.Rngs):
        self.activation = activation
        self.norms = nnx.List(nnx.GroupNorm(width, groups, rngs=rngs) for _ in range(2))
        self.convolutions = nnx.List(nnx.Conv(width, width, (3, 3), rngs=rngs) for _ in range(2))

    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        h = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            h = convolution(self.activation(norm(h[None]))[0])
        return x + h


class ResNet(nnx.Module):
    """A small residual network: see `ResNetConfig`. Source: He et al., arXiv 1603.05027."""

    def __init__(self, config: ResNetConfig, *, rngs: nnx.Rngs):
        factor = 2 ** (config.stages - 1)
        if config.side % factor:
            raise ValueError(f"`side` must be a multiple of {factor}, got {config.side}")
        self.config = config
        activation = _activation(config.activation)
        layers: list[nnx.Module] = [nnx.Conv(config.channels, config.width, (3, 3), rngs=rngs)]
        width = config.width
        for stage in range(config.stages):
            if stage:
                layers.append(nnx.Conv(width, 2 * width, (3, 3), strides=(2, 2), rngs=rngs))
                width *= 2
            layers += [
                _Block(width, config.groups, activation, rngs=rngs) for _ in range(config.blocks)
            ]
        self.layers = nnx.List(layers)
        self.head = nnx.Linear(width * (config.side // factor) ** 2, config.embedding, rngs=rngs)

    def __call__(self, image: Float[Array, "*hwc"]) -> Float[Array, " k"]:
        """The embedding of one image."""
        h = (image - self.config.mean) / self.config.std
        h = h.reshape(self.config.side, self.config.side, self.config.channels)
        for layer in self.layers:
            h = layer(h)  # pyright: ignore[reportCallIssue]
        z = self.head(h.ravel())
        return z / jnp.linalg.norm(z) if self.config.normalized else z


def parameters(model: nnx.Module) -> int:
    """The number of trained numbers."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def null_basis(normalized: bool, embedding: Float[Array, " k"]) -> Float[Array, "k r"]:
    """Left-null directions of the Jacobian: the embedding itself where it is normalised."""
    return embedding[:, None] if normalized else embedding[:, None][:, :0]
