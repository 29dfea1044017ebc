"""The encoder of a command."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jepa_jax.encoders.encoder import Encoder

# Whether this process was started for one command, and nobody else's code runs in it.
_own_process = False


def begin() -> None:
    """To be called by the console script, before anything else."""
    global _own_process
    _own_process = True


def load(
    name: str, embedding: str | None, image_size: int | None, frames: int | None = None
) -> "Encoder":
    """`jepa_jax.load_encoder` of a command's options."""
    from jepa_jax import load_encoder

    with _without_pytorch():
        return load_encoder(name, embedding=embedding, image_size=image_size, frames=frames)


class _WithoutPyTorch(PathFinder):
    """Finds modules as ever, but for PyTorch."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if fullname == "torch" else super().find_spec(fullname, path, target)


@contextlib.contextmanager
def _without_pytorch() -> Iterator[None]:
    """`transformers`, whose image processors are used, imports no PyTorch: 4 CPU-s for nothing.

    It asks once a process, so this is only for a process of our own.
    """
    hidden = _own_process and "transformers" not in sys.modules and PathFinder in sys.meta_path
    if hidden:
        at = sys.meta_path.index(PathFinder)
        sys.meta_path[at] = _WithoutPyTorch
    try:
        yield
    finally:
        if hidden:
            sys.meta_path[at] = PathFinder
