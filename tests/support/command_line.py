"""The command line in this process."""

from typer.testing import CliRunner, Result

from jepa_jax.cli import app


def invoke(*arguments) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])
