"""A projector as checkpoints store it: the modules of a `torch.nn.Sequential`, by their numbers.

Only modules with tensors are there. By the numbers that lack, something without tensors lies
between two of them: an activation, or an activation and a Dropout, as stable-pretraining and
torchvision's MLP have them. A BatchNorm1d of evaluation is an affine map, and becomes part of the
linear layer before it.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from jepa_jax.encoders import stored_tensors
from jepa_jax.encoders.stored_tensors import Stored

Shapes = Mapping[str, tuple[int, ...]]
Place = tuple[int, ...]  # Of a module in a Sequential of Sequentials.

_EPSILON = 1e-5  # PyTorch's default for a BatchNorm1d, which no checkpoint states.
_NORM = {"running_mean", "running_var"}
_OF_NORM = _NORM | {"weight", "bias", "num_batches_tracked"}


@dataclasses.dataclass(frozen=True)
class StoredLayer:
    """A linear layer as stored: the name and shape of its weight, whether it has a bias, and the
    name of the BatchNorm1d after it with the tensors that this has."""

    name: str
    inputs: int
    outputs: int
    bias: bool
    norm: str | None = None
    of_norm: frozenset[str] = frozenset()


def read_layers(
    shapes: Shapes, stem: str, width: int, head: str
) -> tuple[tuple[StoredLayer, ...], tuple[bool, ...]]:
    """The layers of the projector below `stem`, and whether an activation lies before each but the
    first.

    `width`: of the token. `head`: the name of a linear layer that the backbone may end with, which
    is then the first. Raises `ValueError`, naming what does not fit, on modules that are not
    linear layers, batch norms, activations and Dropouts in a row.
    """
    layers: list[StoredLayer] = []
    activated: list[bool] = []
    last: Place | None = None
    for place, leaves in _modules(shapes, stem):
        name = (stem + ".".join(map(str, place))).removesuffix(".")
        between = _between(last, place, name)
        kind = _kind(name, leaves)
        if kind == "linear":
            outputs, inputs = leaves["weight"]
            if layers:
                activated.append(between)
            layers.append(StoredLayer(name, inputs, outputs, "bias" in leaves))
        elif not layers or between or layers[-1].norm is not None:
            raise _unknown(f"{name} is a batch norm that follows no linear layer")
        else:
            tensors = frozenset(leaves) & _OF_NORM
            layers[-1] = dataclasses.replace(layers[-1], norm=name, of_norm=tensors)
            if set(leaves.values()) - {()} != {(layers[-1].outputs,)}:
                raise _unknown(f"{name} is not of the {layers[-1].outputs} coordinates before it")
        last = place
    if not layers:
        raise _unknown(f"{stem.removesuffix('.')} has no linear layer")
    return _joined(shapes, layers, activated, width, head)


def _joined(
    shapes: Shapes, layers: list[StoredLayer], activated: list[bool], width: int, head: str
) -> tuple[tuple[StoredLayer, ...], tuple[bool, ...]]:
    """With the backbone's own last layer, where the projector is given what comes of it."""
    own = shapes.get(f"{head}.weight", ())
    if own == (layers[0].inputs, width):
        layers = [StoredLayer(head, width, own[0], f"{head}.bias" in shapes), *layers]
        activated = [False, *activated]
    for before, layer in zip([None, *layers], layers, strict=False):
        given = width if before is None else before.outputs
        if layer.inputs != given:
            raise _unknown(f"{layer.name} takes {layer.inputs} coordinates, and is given {given}")
    return tuple(layers), tuple(activated)


def _modules(shapes: Shapes, stem: str) -> list[tuple[Place, dict[str, tuple[int, ...]]]]:
    """Of every module with tensors, by its place, what they are called and their shapes."""
    found: dict[Place, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        if not name.startswith(stem):
            continue
        *path, leaf = name.removeprefix(stem).split(".")
        if not all(part.isdecimal() for part in path):
            raise _unknown(f"{name} is of no torch.nn.Sequential, whose modules have numbers")
        found.setdefault(tuple(map(int, path)), {})[leaf] = shape
    return sorted(found.items())


def _between(last: Place | None, place: Place, name: str) -> bool:
    """Whether an activation lies between the modules at two places."""
    if last is None:
        if any(place):
            raise _unknown(f"{name} is the first that has tensors, and what is before it not known")
        return False
    if place == (*last[:-1], last[-1] + 1, 0):  # The next is a Sequential, which begins.
        return False
    lacking = place[-1] - last[-1] - 1
    if place[:-1] != last[:-1] or lacking > 2:
        raise _unknown(f"what lies between {name} and the module before it is not known")
    return lacking > 0


def _kind(name: str, leaves: Mapping[str, tuple[int, ...]]) -> str:
    if set(leaves) <= {"weight", "bias"} and len(leaves.get("weight", ())) == 2:
        return "linear"
    if set(leaves) >= _NORM and set(leaves) <= _OF_NORM:
        return "norm"
    there = ", ".join(f"{leaf} {list(shape)}" for leaf, shape in sorted(leaves.items()))
    raise _unknown(f"{name} ({there}) is neither a Linear nor a BatchNorm1d")


def _unknown(what: str) -> ValueError:
    return ValueError(
        f"`embedding` 'projector': {what}. A projector is read that is a torch.nn.Sequential of "
        "Linear, BatchNorm1d, activation and Dropout; of another, write the function in JAX, and "
        "`jepa_jax.jacobian` takes its Jacobian"
    )


def parameters(layers: tuple[StoredLayer, ...]) -> dict[str, dict]:
    """Our parameters of a projector as a tree of stored tensors."""
    return {"layers": {str(i): _affine(layer) for i, layer in enumerate(layers)}}


def biases(layers: tuple[StoredLayer, ...]) -> tuple[bool, ...]:
    """Whether each of our layers has a bias: its own, or the batch norm's."""
    return tuple(layer.bias or layer.norm is not None for layer in layers)


def _affine(layer: StoredLayer) -> dict[str, Stored]:
    if layer.norm is None:
        return stored_tensors.linear(layer.name, layer.inputs, layer.outputs, layer.bias)
    n = (layer.outputs,)
    scale = {f"{layer.norm}.running_var": n}
    if "weight" in layer.of_norm:
        scale |= {f"{layer.norm}.weight": n}
    shift = scale | {f"{layer.norm}.running_mean": n}
    if "bias" in layer.of_norm:
        shift |= {f"{layer.norm}.bias": n}
    if layer.bias:
        shift |= {f"{layer.name}.bias": n}

    def gain(stored: Mapping[str, np.ndarray]) -> np.ndarray:
        weight = stored.get(f"{layer.norm}.weight", 1.0)
        return weight / np.sqrt(stored[f"{layer.norm}.running_var"] + _EPSILON)

    def kernel(weight: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        return weight.T * gain(dict(zip(scale, arrays, strict=True)))

    def bias(*arrays: np.ndarray) -> np.ndarray:
        stored = dict(zip(shift, arrays, strict=True))
        own = stored.get(f"{layer.name}.bias", 0.0)
        moved = gain(stored) * (own - stored[f"{layer.norm}.running_mean"])
        return moved + stored.get(f"{layer.norm}.bias", 0.0)

    weight = {f"{layer.name}.weight": (layer.outputs, layer.inputs)}
    return {
        "kernel": Stored(weight | scale, kernel, _apart, wide=True),
        "bias": Stored(shift, bias, _apart, wide=True),
    }


def _apart(x: np.ndarray) -> list[np.ndarray]:
    raise ValueError("a batch norm cannot be taken out of a linear layer again")
