"""`jepa-jax score`: every image of a source gets its row."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jepa_jax.commands.options import (
    CPUS_PER_WORKER,
    ON_LOST,
    Address,
    AllowOutside,
    AtAnyCost,
    BatchSize,
    CalibrationFolder,
    ClusterWorkers,
    CpusPerWorker,
    Devices,
    DevicesPerWorker,
    Embedding,
    EncoderOrNone,
    Engine,
    FramesOfClips,
    FrameStep,
    IdColumn,
    ImageColumn,
    ImageSize,
    Limit,
    MethodOrAuto,
    OnLost,
    OutFolder,
    PrecisionOrAuto,
    Seed,
    Source,
    Stride,
    WhichEngine,
    engine_named,
    with_method_settings,
)
from jepa_jax.commands.score_image import Asked as OfOne
from jepa_jax.commands.score_image import check_of_one, score_image
from jepa_jax.commands.score_source import Wanted, score_source
from jepa_jax.commands.terminal import plain_errors
from jepa_jax.object_stores import place
from jepa_jax.store.schema import STORABLE


class _Retry(StrEnum):
    failed = "failed"
    all = "all"


class _Changed(StrEnum):
    rescore = "rescore"
    keep = "keep"


class _Rank(StrEnum):
    structural = "structural"
    clip = "clip"


def _plain(value: Any) -> Any:
    """The word that stands for a member of an enumeration; anything else as it is."""
    return value.value if isinstance(value, StrEnum) else value


@with_method_settings
def score(
    given: frozenset[str],
    source: Source,
    encoder: EncoderOrNone = None,
    out: OutFolder = None,
    method: Annotated[
        MethodOrAuto,
        typer.Option(help="Estimator; auto: the fastest that reaches --target-spearman."),
    ] = MethodOrAuto("exact"),
    calibration: CalibrationFolder = None,
    *,
    method_settings: dict[str, int | float],
    refine: Annotated[
        str | None,
        typer.Option(help="Score the lowest share again exactly, and flagged images: '5%'."),
    ] = None,
    refine_high: Annotated[
        str | None, typer.Option(help="Score the highest share again exactly.")
    ] = None,
    target_spearman: Annotated[
        float, typer.Option(help="auto: rank correlation with exact scores to reach.")
    ] = 0.98,
    calibration_images: Annotated[
        int, typer.Option(min=16, help="auto: images scored exactly to choose and calibrate.")
    ] = 128,
    rank: Annotated[
        _Rank, typer.Option(help="structural: null directions left out; clip: as Listing 1.")
    ] = _Rank.structural,
    precision: Annotated[
        PrecisionOrAuto,
        typer.Option(help="Matrix products; auto: the fastest of --target-agreement."),
    ] = PrecisionOrAuto("highest"),
    target_agreement: Annotated[
        float, typer.Option(help="--precision auto: rank correlation with float32's scores.")
    ] = 0.999,
    correct: Annotated[
        int | None,
        typer.Option(min=8, help="Below highest: so many images in float32 too, and a line to it."),
    ] = None,
    batch_size: BatchSize = None,
    devices: Devices = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="On a CPU: worker processes (default: one a core in long runs)."),
    ] = None,
    engine: WhichEngine = Engine.local,
    address: Address = None,
    workers: ClusterWorkers = None,
    devices_per_worker: DevicesPerWorker = None,
    cpus_per_worker: CpusPerWorker = CPUS_PER_WORKER,
    on_lost: Annotated[
        OnLost,
        typer.Option(help="ray: an image that workers die of ends the run, or is left out."),
    ] = ON_LOST,
    views: Annotated[int, typer.Option(min=1, help="Random views an image (Eq. 4).")] = 1,
    clips: FramesOfClips = None,
    stride: Stride = None,
    frame_step: FrameStep = None,
    image_size: ImageSize = None,
    embedding: Embedding = None,
    part: Annotated[
        str | None,
        typer.Option(help="Only these shards, '2/8': the second of eight runs, to be merged."),
    ] = None,
    shuffle: Annotated[
        int | None, typer.Option(help="Take the images in an order of chance, by this seed.")
    ] = None,
    store: Annotated[
        str,
        typer.Option(help=f"Groups of columns to add, of {','.join(STORABLE)}."),
    ] = "",
    seed: Seed = 0,
    limit: Limit = None,
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    allow_outside: AllowOutside = False,
    retry: Annotated[
        _Retry | None,
        typer.Option(
            help="Again: rows whose image could not be got (failed), or all without score."
        ),
    ] = None,
    changed: Annotated[
        _Changed,
        typer.Option(help="Rows whose image's file has another size or time than when scored."),
    ] = _Changed.rescore,
    at_any_cost: AtAnyCost = False,
    profile: Annotated[
        Path | None,
        typer.Option(help="A folder for where the time goes: a table, and JAX's trace."),
    ] = None,
    within: Annotated[
        Any,
        typer.Option(
            metavar="DIR",
            parser=place,
            help="One image: a folder of scores to compare with, whose settings hold.",
        ),
    ] = None,
    map_to: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="One image: a PNG of where it comes from."),
    ] = None,
    patch_map: Annotated[
        bool | None,
        typer.Option(help="One image: print that map too (default: on a terminal)."),
    ] = None,
) -> None:
    """Score every image of SOURCE. One row an input, in a folder that a rerun continues.

    Without --out, SOURCE is one image file, and the answer is printed: the score and its error,
    where it stands within a folder of scores, and where in the image the volume comes from.
    """
    options = dict(locals())
    if out is None:
        with plain_errors():
            check_of_one(given - method_settings.keys())
            said = {name: _plain(value) for name, value in options.items() if name in given}
            asked = OfOne(
                encoder=encoder,
                method=said.get("method"),
                settings=method_settings,
                calibration=calibration,
                rank=said.get("rank"),
                precision=said.get("precision"),
                embedding=embedding,
                image_size=image_size,
                views=said.get("views"),
                seed=seed,
                at_any_cost=at_any_cost,
                within=within,
                map_to=map_to,
                patch_map=patch_map,
            )
            score_image(source, asked)
        return
    which = engine_named(
        engine,
        address=address,
        workers=workers,
        devices_per_worker=devices_per_worker,
        cpus_per_worker=cpus_per_worker,
        on_lost=on_lost.value,
        devices=devices,
        processes=processes,
    )
    with plain_errors() as command, which as elsewhere:
        if encoder is None:
            raise ValueError("--encoder is needed: 'embedded', a checkpoint folder, or a hub name")
        if within is not None or map_to is not None or patch_map is not None:
            raise ValueError("--within, --map and --patch-map are of one image, without --out")
        names = {field.name for field in dataclasses.fields(Wanted)}
        wanted = Wanted(**{name: _plain(options[name]) for name in names & options.keys()})
        if not score_source(wanted, elsewhere, command):
            raise typer.Exit(1)
