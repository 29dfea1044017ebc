"""Parameters of ours as checkpoints store them: names, shapes, and how one becomes the other."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Stored:
    """One parameter of ours as a checkpoint stores it: its tensors' names and shapes.

    `assemble` makes our array of theirs, in order; `disassemble` makes theirs of ours, exactly.
    `wide`: theirs are read as float64, whatever ours will be, as sums are made of them.
    """

    shapes: dict[str, tuple[int, ...]]
    assemble: Callable[..., np.ndarray] = lambda x: x
    disassemble: Callable[[np.ndarray], Sequence[np.ndarray]] = lambda x: [x]
    wide: bool = False


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> dict[str, Stored]:
    """Our (kernel, bias) of a PyTorch `Linear`: its weight is stored transposed."""
    return joined([name], inputs, outputs, bias)


def joined(
    names: list[str], inputs: int, outputs: int, bias: bool | Sequence[bool] = True
) -> dict[str, Stored]:
    """Our (kernel, bias) of several PyTorch `Linear`s of one input, side by side.

    `bias`: whether they have one, each or all; where only some do, that of the others is zero.
    """
    has = [bias] * len(names) if isinstance(bias, bool) else list(bias)
    kernel = Stored(
        {f"{n}.weight": (outputs, inputs) for n in names},
        lambda *weights: np.concatenate([w.T for w in weights], axis=1),
        lambda x: [w.T for w in np.split(x, len(names), axis=1)],
    )
    if not any(has):
        return {"kernel": kernel}
    stated = [f"{n}.bias" if there else None for n, there in zip(names, has, strict=True)]
    return {"kernel": kernel} | bias_parts(stated, outputs)


def bias_parts(names: list[str | None], outputs: int) -> dict[str, Stored]:
    """Our bias of several `Linear`s side by side; zero where one has none (None)."""

    def assemble(*stored: np.ndarray) -> np.ndarray:
        parts = iter(stored)
        zero = np.zeros_like(stored[0])
        return np.concatenate([zero if name is None else next(parts) for name in names])

    def disassemble(x: np.ndarray) -> list[np.ndarray]:
        parts = list(zip(np.split(x, len(names)), names, strict=True))
        if any(part.any() for part, name in parts if name is None):
            raise ValueError("a bias that is not stored must be zero")
        return [part for part, name in parts if name is not None]

    shapes = {name: (outputs,) for name in names if name is not None}
    return {"bias": Stored(shapes, assemble, disassemble)}


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


def batched(name: str, *shape: int, zero_rows: int = 0) -> Stored:
    """Our array of this shape, stored with leading axes of length one: (1, 1, d) or (1, t, d).

    `zero_rows`: of ours before the stored ones.
    """
    stored = (1,) * (3 - len(shape)) + shape
    return Stored(
        {name: stored},
        lambda x: np.concatenate([np.zeros_like(x.reshape(shape)[:zero_rows]), x.reshape(shape)]),
        lambda x: [x[zero_rows:].reshape(stored)],
    )


def flatten(tree: dict, prefix: str = "") -> dict[str, Stored]:
    """{"a": {"b": x}} as {"a.b": x}."""
    flat: dict[str, Stored] = {}
    for key, value in tree.items():
        flat |= (
            flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
