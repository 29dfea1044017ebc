"""The command line: `jepa-jax --help` lists the commands of `jepa_jax.commands`."""

import os
import signal
from typing import Annotated

import typer

from jepa_jax.commands.browse import browse
from jepa_jax.commands.calibrate import calibrate
from jepa_jax.commands.check import check
from jepa_jax.commands.compare import compare
from jepa_jax.commands.encoders import encoders
from jepa_jax.commands.evaluate import evaluate
from jepa_jax.commands.export import export
from jepa_jax.commands.loading import begin
from jepa_jax.commands.merge import merge
from jepa_jax.commands.report import report
from jepa_jax.commands.score import score
from jepa_jax.commands.select import select
from jepa_jax.commands.show import show
from jepa_jax.commands.terminal import TRACEBACK
from jepa_jax.commands.train import train
from jepa_jax.version import __version__

app = typer.Typer(
    help="JEPA-SCORE: how typical an image is of what an encoder was trained on, in nats.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # Plain help starts in half the time.
)
COMMANDS = (
    *(score, show, merge, report, browse, compare, select, export),
    *(evaluate, calibrate, train, encoders, check),
)
for command in COMMANDS:
    app.command()(command)


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"jepa-jax {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="The version."),
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option("--traceback", envvar=TRACEBACK, help="Show where an error was raised."),
    ] = False,
) -> None:
    if traceback:
        os.environ[TRACEBACK] = "1"


def console() -> None:
    """The console script."""
    begin()
    # Before a command and after it, at its imports and in what Python does at its end, Ctrl-C ends
    # the process without a traceback; amid it, `jepa_jax.commands.interruption` sees to that.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    app()


if __name__ == "__main__":
    console()
