"""`jepa-jax calibrate`: exact scores of a few images, for cheaper ones of many."""

from pathlib import Path
from typing import Annotated

import typer

from jepa_jax.commands.candidates import print_candidates
from jepa_jax.commands.options import Precision
from jepa_jax.commands.terminal import Progressing, leave, messages, plain_errors


def calibrate(
    source: Annotated[str, typer.Argument(help="Images like those to be scored; as in `score`.")],
    encoder: Annotated[str, typer.Option(help="As in `score`.")],
    out: Annotated[Path, typer.Option(help="Folder for the calibration.")],
    images: Annotated[int, typer.Option(min=16, help="Images to score exactly.")] = 128,
    precision: Annotated[
        Precision, typer.Option(help="Of the sketch; exact scores are always 'highest'.")
    ] = Precision.highest,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at once.")] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Side of the encoder's input, pixels.")
    ] = None,
    embedding: Annotated[str | None, typer.Option(help="As in `score`.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of cotangents.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only of the first N images.")] = None,
) -> None:
    """Measure exact scores of a few images, for `score --method sketch --calibration DIR`."""
    with plain_errors():
        from jepa_jax import load_encoder
        from jepa_jax.scoring import calibrate as measure
        from jepa_jax.scoring.calibration import check_folder

        check_folder(out)
        loaded = load_encoder(encoder, embedding=embedding, image_size=image_size)
        try:
            with Progressing("calibrating") as progress:
                found = measure(
                    loaded,
                    source,
                    images=images,
                    precision=precision.value,
                    batch_size=batch_size,
                    seed=seed,
                    limit=limit,
                    on_start=progress.start,
                    on_image=progress.advance,
                )
        except KeyboardInterrupt:
            messages.print("stopped: nothing is kept of a calibration")
            leave(130)
        found.save(out)
    print_candidates(found, None)
    facts = found.facts
    messages.print(f"{facts['images']} images, {facts['passed_over']} passed over; saved in {out}")
