"""Parameters of ours as checkpoints store them: names, shapes, and how one becomes the other."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Stored:
    """One parameter of ours as a checkpoint stores it: its tensors' names and shapes.

    `assemble` makes our array of theirs, in order; `disassemble` makes theirs of ours, exactly.
    """

    shapes: dict[str, tuple[int, ...]]
    assemble: Callable[..., np.ndarray] = lambda x: x
    disassemble: Callable[[np.ndarray], Sequence[np.ndarray]] = lambda x: [x]


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> dict[str, Stored]:
    """Our (kernel, bias) of a PyTorch `Linear`: its weight is stored transposed."""
    return joined([name], inputs, outputs, bias)


def joined(names: list[str], inputs: int, outputs: int, bias: bool = True) -> dict[str, Stored]:
    """Our (kernel, bias) of several PyTorch `Linear`s of one input, side by side."""
    kernel = Stored(
        {f"{n}.weight": (outputs, inputs) for n in names},
        lambda *weights: np.concatenate([w.T for w in weights], axis=1),
        lambda x: [w.T for w in np.split(x, len(names), axis=1)],
    )
    if not bias:
        return {"kernel": kernel}
    biases = Stored(
        {f"{n}.bias": (outputs,) for n in names},
        lambda *b: np.concatenate(b),
        lambda x: np.split(x, len(names)),
    )
    return {"kernel": kernel, "bias": biases}


def norm(name: str, width: int) -> dict[str, Stored]:
    """Our (scale, bias) of a PyTorch `LayerNorm`."""
    return {
        "scale": Stored({f"{name}.weight": (width,)}),
        "bias": Stored({f"{name}.bias": (width,)}),
    }


def patches(
    name: str, size: int, channels: int, width: int, bias: bool = True
) -> dict[str, Stored]:
    """Our patch projection of a PyTorch `Conv2d` whose stride is its kernel size."""
    kernel = Stored(
        {f"{name}.weight": (width, channels, size, size)},
        lambda w: w.transpose(2, 3, 1, 0).reshape(-1, width),
        lambda x: [x.reshape(size, size, channels, width).transpose(3, 2, 0, 1)],
    )
    return {"kernel": kernel} | ({"bias": Stored({f"{name}.bias": (width,)})} if bias else {})


def batched(name: str, *shape: int) -> Stored:
    """Our array of this shape, stored with leading axes of length one: (1, 1, d) or (1, t, d)."""
    stored = (1,) * (3 - len(shape)) + shape
    return Stored({name: stored}, lambda x: x.reshape(shape), lambda x: [x.reshape(stored)])


def flatten(tree: dict, prefix: str = "") -> dict[str, Stored]:
    """{"a": {"b": x}} as {"a.b": x}."""
    flat: dict[str, Stored] = {}
    for key, value in tree.items():
        flat |= (
            flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
