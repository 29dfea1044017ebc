"""Checkpoints of a training that can be continued."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The parameters and the optimizer's state in `folder`, every `every` steps; the last is kept.

    Written by Orbax into a folder of the step's number, which appears when it is complete.
    """

    folder: Path
    every: int = 500

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if p.name.isdigit())

    def save(self, carry: Any, step: int) -> None:
        """Writes a checkpoint, then removes older ones."""
        import orbax.checkpoint as ocp

        leaves = {name: np.asarray(leaf) for name, leaf in _named(carry).items()}
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save((self.folder / str(step)).absolute(), leaves, force=True)
        for older in self.steps():
            if older != step:
                shutil.rmtree(self.folder / str(older))

    def restore(self, carry: Any) -> tuple[Any, int]:
        """The latest checkpoint in the structure of `carry`, and its step; `carry` and 0 else.

        Raises `ValueError` where it is of another model or optimizer.
        """
        import orbax.checkpoint as ocp

        steps = self.steps()
        if not steps:
            return carry, 0
        expected = _named(carry)
        with ocp.PyTreeCheckpointer() as checkpointer:
            folder = (self.folder / str(steps[-1])).absolute()
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), expected)
            try:
                found = checkpointer.restore(folder, restore_args=arguments)
            except Exception as error:  # Of Orbax, or of what it reads files by.
                raise ValueError(
                    f"{folder} is a checkpoint of another model, or damaged: delete it to begin "
                    f"anew ({type(error).__name__}: {error})"
                ) from error
        shapes = {name: np.shape(leaf) for name, leaf in found.items()}
        wanted = {name: np.shape(leaf) for name, leaf in expected.items()}
        if shapes != wanted:
            differ = sorted(
                n for n in shapes.keys() | wanted.keys() if shapes.get(n) != wanted.get(n)
            )
            raise ValueError(f"{folder} is a checkpoint of another model: {differ} differ")
        leaves = [
            jax.numpy.asarray(found[name], np.asarray(leaf).dtype)
            for name, leaf in expected.items()
        ]
        return jax.tree.unflatten(jax.tree.structure(carry), leaves), steps[-1]


def _named(tree: Any) -> dict[str, Any]:
    """Leaves by their path: names that say in a file what they are."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}
