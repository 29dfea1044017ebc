"""`jepa-jax train`: a small encoder from a configuration."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jepa_jax.commands.terminal import plain_errors, say


def train(
    config: Annotated[
        str, typer.Argument(help="A TOML file, or a committed one: embedded, plane-sphere, ...")
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and encoder.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="E.g. optimizer.steps=100, seed=1."),
    ] = None,
    report_every: Annotated[int, typer.Option(min=1, help="Steps a line of the log.")] = 50,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps a checkpoint.")] = 500,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The log's rows, as TensorBoard reads them.")
    ] = None,
) -> None:
    """Train a small encoder. The same command again continues a run that was stopped."""
    with plain_errors() as command:
        command.stopped = f"stopped: {out} keeps its last checkpoint; the same command continues"
        from jepa_jax.training.config import Training
        from jepa_jax.training.networks import parameters
        from jepa_jax.training.training_run import run

        training = Training.read(config, dict(map(_parse, change or [])))
        steps = training.optimizer.steps

        def report(row: dict) -> None:
            terms = "  ".join(
                f"{k} {v:.4g}"
                for k, v in row.items()
                if k not in ("step", "learning_rate", "seconds")
            )
            say(f"step {row['step']}/{steps}  {terms}  {row['seconds']:.0f} s")
            command.stop.raise_if_asked()

        model = run(
            training,
            out,
            report=report,
            report_every=report_every,
            checkpoint_every=checkpoint_every,
            tensorboard=tensorboard,
        )
    say(f"{parameters(model)} parameters; encoder, log and checkpoint in {out}")


def _parse(change: str) -> tuple[str, Any]:
    """NAME=VALUE; the value as JSON where it is that, as text else."""
    name, equals, value = change.partition("=")
    if not equals:
        raise ValueError(f"`--set` must be NAME=VALUE, got {change!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
