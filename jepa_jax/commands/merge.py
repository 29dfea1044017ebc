"""`jepa-jax merge`: the parts of a run as one folder."""

from typing import Annotated, Any

import typer

from jepa_jax.commands.terminal import plain_errors, say
from jepa_jax.object_stores import place


def merge(
    parts: Annotated[
        list[Any],
        typer.Argument(metavar="DIR...", parser=place, help="Folders made by `score --part`."),
    ],
    out: Annotated[Any, typer.Option(metavar="DIR", parser=place, help="Folder for the whole.")],
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Also where parts are missing or unfinished.")
    ] = False,
) -> None:
    """Put the parts of a run together: every row once, in the source's order."""
    with plain_errors():
        from jepa_jax.store import merge as merge_folders

        rows = merge_folders(parts, out, incomplete=incomplete)
    say(
        f"{rows} rows of {len(parts)} parts in {out}; the command without --part continues it. "
        f"Look at them: jepa-jax show {out}"
    )
