"""`jepa-jax calibrate`: exact scores of a few images, for cheaper ones of many."""

from pathlib import Path
from typing import Annotated

import typer

from jepa_jax.commands.candidates import print_candidates
from jepa_jax.commands.estimators import check_one_embedding
from jepa_jax.commands.loading import load
from jepa_jax.commands.options import (
    CPUS_PER_WORKER,
    Address,
    AllowOutside,
    AtAnyCost,
    BatchSize,
    ClusterWorkers,
    CpusPerWorker,
    Devices,
    DevicesPerWorker,
    Embedding,
    Encoder,
    Engine,
    IdColumn,
    ImageColumn,
    ImageSize,
    Limit,
    Precision,
    Seed,
    Source,
    WhichEngine,
    engine_named,
    open_images,
)
from jepa_jax.commands.terminal import Progressing, plain_errors, say


def calibrate(
    source: Source,
    encoder: Encoder,
    out: Annotated[Path, typer.Option(help="Folder for the calibration.")],
    images: Annotated[int, typer.Option(min=16, help="Images to score exactly.")] = 128,
    precision: Annotated[
        Precision, typer.Option(help="Of the sketch; exact scores are always 'highest'.")
    ] = Precision.highest,
    batch_size: BatchSize = None,
    devices: Devices = None,
    engine: WhichEngine = Engine.local,
    address: Address = None,
    workers: ClusterWorkers = None,
    devices_per_worker: DevicesPerWorker = None,
    cpus_per_worker: CpusPerWorker = CPUS_PER_WORKER,
    image_size: ImageSize = None,
    embedding: Embedding = None,
    seed: Seed = 0,
    limit: Limit = None,
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    allow_outside: AllowOutside = False,
    at_any_cost: AtAnyCost = False,
) -> None:
    """Score a few images exactly, to fit cheaper methods.

    Then: `score --method sketch --calibration DIR`.
    """
    which = engine_named(
        engine,
        address=address,
        workers=workers,
        devices_per_worker=devices_per_worker,
        cpus_per_worker=cpus_per_worker,
        devices=devices,
    )
    with plain_errors() as command, which as elsewhere:
        command.stopped = "stopped: nothing is kept of a calibration"
        from jepa_jax.calibration import calibrate as measure
        from jepa_jax.calibration.calibration import check_folder

        check_folder(out)
        opened = open_images(source, image_column, id_column, allow_outside)
        loaded = load(encoder, embedding, image_size)
        check_one_embedding(loaded, {"calibrate": True})
        with Progressing("calibrating", command.stop) as progress:
            found = measure(
                loaded,
                opened,
                images=images,
                precision=precision.value,
                batch_size=batch_size,
                seed=seed,
                devices=devices,
                engine=elsewhere,
                limit=limit,
                at_any_cost=at_any_cost,
                on_start=progress.start,
                on_image=progress.advance,
            )
        found.save(out)
    print_candidates(found, None)
    facts = found.facts
    say(f"{facts['images']} images, {facts['passed_over']} passed over; saved in {out}")
