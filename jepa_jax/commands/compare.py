"""`jepa-jax compare`: two folders of scores as one HTML file to look at."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jepa_jax.commands.options import (
    AllowOutside,
    IdColumn,
    ImageColumn,
    ImagesNow,
    Labels,
    NoImages,
    images_for_pictures,
)
from jepa_jax.commands.terminal import Progressing, plain_errors, say
from jepa_jax.object_stores import place


def compare(
    first: Annotated[
        Any, typer.Argument(metavar="A", parser=place, help="A folder made by `score`.")
    ],
    second: Annotated[
        Any, typer.Argument(metavar="B", parser=place, help="Another one, of the same images.")
    ],
    out: Annotated[Path, typer.Option(help="The file; a report that is there is replaced.")] = Path(
        "comparison.html"
    ),
    images: ImagesNow = None,
    no_images: NoImages = False,
    labels: Labels = "auto",
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Compare two runs over the same images: which moved, how far, and what differs."""
    with plain_errors() as command:
        from jepa_jax.report.comparison_page import write_comparison
        from jepa_jax.report.pictures import Where

        images = images_for_pictures(images, no_images)
        where = Where(images, image_column, id_column, allow_outside)
        with Progressing("thumbnails", command.stop) as progress:
            written = write_comparison(
                first,
                second,
                out,
                where=where,
                label_from=labels,
                title=title,
                on_start=progress.start,
                on_row=progress.advance,
            )
        for run in written.unfinished:
            say(f"note: {run}", "yellow")
        if written.lacks:
            say(f"note: {written.lacks}", "yellow")
        say(
            f"{written.path}: {written.both} images in both, {written.pictures} pictures, "
            f"{written.bytes / 1e6:.1f} MB. Open it in a browser."
        )
