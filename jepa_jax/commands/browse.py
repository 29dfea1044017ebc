"""`jepa-jax browse`: a local page of a folder of scores, of any size."""

import importlib.util
from typing import Annotated

import typer

from jepa_jax.commands.options import (
    AllowOutside,
    IdColumn,
    ImageColumn,
    ImagesNow,
    NoImages,
    Scores,
    images_for_pictures,
)
from jepa_jax.commands.terminal import plain_errors, say

_NEEDED = ("duckdb", "starlette", "uvicorn")


def browse(
    scores: Scores,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of this machine; 0: any that is free.")
    ] = 8017,
    images: ImagesNow = None,
    no_images: NoImages = False,
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Look at scores of any number on a page that this machine serves to itself, until Ctrl-C."""
    with plain_errors() as command:
        images = images_for_pictures(images, no_images)
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise ValueError(f"browse needs {', '.join(missing)}: pip install 'jepa-jax[browse]'")
        from jepa_jax.browse.server import Server
        from jepa_jax.browse.table_rows import Rows
        from jepa_jax.report.pictures import Where

        command.stopped = "closed"
        rows = Rows(scores)
        try:
            where = Where(images, image_column, id_column, allow_outside)
            server = Server(rows, where, port)
            say(
                f"{server.url}\n"
                f"{rows.overview().rows} rows of {scores}. Open this address in a browser on this "
                "machine; Ctrl-C ends it."
            )
            server.run()
        finally:
            rows.close()
