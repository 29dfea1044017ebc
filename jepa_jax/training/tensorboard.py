"""Rows of a training for TensorBoard: one scalar a loss, by step."""

import contextlib
import importlib.util
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jepa_jax.store.folder import check_apart
from jepa_jax.training.trainer import Row


def check_folder(folder: Path, out: Path) -> None:
    """Raises `ValueError` where the writer is not installed, or `folder` is within that of the
    training `out` or one of scores, which would then hold other things."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ValueError(
            "TensorBoard's rows need tensorboardX: pip install 'jepa-jax[tensorboard]'"
        )
    check_apart(folder, itself=True)
    if folder.absolute().is_relative_to(out.absolute()):
        raise ValueError(f"{folder} is in {out}, the training's own folder: give one beside it")


@contextlib.contextmanager
def writing(folder: Path, before: Iterable[Row], last: int) -> Iterator[Callable[[Row], None]]:
    """Gives what writes a row into an event file of `folder`; each is there when it is written.

    A training that continues has a file of its own, in which TensorBoard sees that what came after
    step `last` was forgotten; where the folder has no event file yet, the rows `before` come first.
    """
    from tensorboardX import SummaryWriter

    new = not any(folder.glob("events.out.tfevents.*"))
    # Its own name tells seconds alone: a second one in the same would write over the first.
    suffix, void = f".{time.time_ns()}", None if new else last + 1
    with SummaryWriter(str(folder), purge_step=void, filename_suffix=suffix) as writer:

        def write(row: Row) -> None:
            for name, value in row.items():
                if name != "step":
                    writer.add_scalar(name, value, int(row["step"]))
            writer.flush()

        for row in before if new else ():
            write(row)
        yield write
