"""`jepa-jax report`: a folder of scores as one HTML file to look at."""

from pathlib import Path
from typing import Annotated

import typer

from jepa_jax.commands.options import (
    AllowOutside,
    IdColumn,
    ImageColumn,
    ImagesNow,
    Labels,
    NoImages,
    Scores,
    images_for_pictures,
)
from jepa_jax.commands.terminal import Progressing, plain_errors, say


def report(
    scores: Scores,
    out: Annotated[Path, typer.Option(help="The file; a report that is there is replaced.")] = Path(
        "report.html"
    ),
    images: ImagesNow = None,
    no_images: NoImages = False,
    labels: Labels = "auto",
    thumbnails: Annotated[int, typer.Option(min=0, help="The most pictures.")] = 2000,
    near_identical: Annotated[
        float,
        typer.Option(min=0, max=1, help="Cosine of embeddings of near-identical images; 0: auto."),
    ] = 0.0,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Make one HTML file to look at scores and images. It needs no network."""
    with plain_errors() as command:
        from jepa_jax.report.html import ReportSettings, write_report

        images = images_for_pictures(images, no_images)
        settings = ReportSettings(
            images,
            labels,
            thumbnails,
            near_identical,
            title,
            image_column,
            id_column,
            allow_outside,
        )
        with Progressing("thumbnails", command.stop) as progress:
            written = write_report(
                scores, out, settings, on_start=progress.start, on_row=progress.advance
            )
        if written.unfinished:
            say(f"note: {written.unfinished}", "yellow")
        if written.lacks:
            say(f"note: {written.lacks}", "yellow")
        say(
            f"{written.path}: {written.rows} rows, {written.pictures} pictures, "
            f"{written.bytes / 1e6:.1f} MB. Open it in a browser."
        )
