"""`jepa-jax score`: every image of a source gets its row."""

import contextlib
import functools
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jepa_jax.commands.automatic import automatic, count_of
from jepa_jax.commands.estimators import check_one_embedding, make_estimator, read_calibration
from jepa_jax.commands.loading import load
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
    check_settings,
    engine_named,
    open_images,
    share_of,
    split_store,
    with_method_settings,
)
from jepa_jax.commands.precisions import check_asked, settle
from jepa_jax.commands.score_image import Asked, check_of_one, score_image
from jepa_jax.commands.score_words import closing, say_changed
from jepa_jax.commands.terminal import Progressing, plain_errors, say, warn_of_idle_gpu
from jepa_jax.object_stores import place
from jepa_jax.store.folder import check_apart
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
    if out is None:
        with plain_errors():
            check_of_one(given - method_settings.keys())
            said = lambda name, value: value if name in given else None
            asked = Asked(
                encoder=encoder,
                method=said("method", method.value),
                settings=method_settings,
                calibration=calibration,
                rank=said("rank", rank.value),
                precision=said("precision", precision.value),
                embedding=embedding,
                image_size=image_size,
                views=said("views", views),
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
        command.stopped = f"stopped: {out} keeps what is scored; the same command continues"
        check_apart(out, on_stores=True)
        check_settings(method_settings, [method.value])
        shares = {
            "low": share_of(refine, "--refine"),
            "high": share_of(refine_high, "--refine-high"),
        }

        from jepa_jax.estimators import Corrected, Exact
        from jepa_jax.scoring import Profile, Scorer
        from jepa_jax.scoring.affordable import too_dear
        from jepa_jax.scoring.batch_sizes import worthwhile
        from jepa_jax.scoring.precision import precision_in_words
        from jepa_jax.scoring.refine import Refinement
        from jepa_jax.scoring.run import check_before_choosing
        from jepa_jax.scoring.work import WHOLE, Part
        from jepa_jax.xla import default_devices

        if profile is not None and elsewhere is not None:
            raise ValueError("--profile is of --engine local: it times this process")
        of_all = WHOLE if part is None else Part.parse(part)
        apart = "--part" if of_all != WHOLE else "--engine ray" if elsewhere is not None else ""
        if apart and method.value == "auto" and calibration is None:
            raise ValueError(
                f"{apart} with --method auto needs --calibration: calibrate once "
                "(jepa-jax calibrate)"
            )
        refinement = Refinement(**shares) if any(shares.values()) else None
        of_clips = (clips, stride, frame_step)
        opened = open_images(source, image_column, id_column, allow_outside, shuffle, *of_clips)
        loaded = load(encoder, embedding, image_size, clips)
        one = {"--method auto": method.value == "auto", "--calibration": calibration is not None}
        one |= {"--precision auto": precision.value == "auto", "--correct": correct is not None}
        check_one_embedding(loaded, one)
        auto = precision.value == "auto" and calibration is None
        check_asked(auto, correct, method.value, rank.value, refinement is not None, apart)
        groups = split_store(store)
        settled = settle(
            precision.value,
            correct,
            encoder=loaded,
            source=opened,
            out=out,
            calibration=calibration,
            target=target_agreement,
            batch_size=batch_size,
            limit=limit,
            at_any_cost=at_any_cost,
            stop=command.stop,
            check=lambda p: check_before_choosing(
                Scorer(loaded, Exact(), precision=p, batch_size=batch_size, seed=seed),
                opened,
                out,
                views=views,
                store=groups,
                at_any_cost=at_any_cost,
            ),
        )
        if elsewhere is not None:
            devices, processes, where = 0, 1, "a Ray cluster"
        else:
            there = default_devices()
            device, used = there[0], devices or len(there)
            several = f"{used} x " if used > 1 else ""
            where = f"{several}{device.platform} ({device.device_kind})"
            warn_of_idle_gpu(device.platform)
            if device.platform != "cpu" or used > 1:
                processes = processes or 1  # Without a listing of the source.
        products = precision_in_words(settled.precision)
        if elsewhere is not None:
            products = f"precision {settled.precision}"  # Its devices are not known here.
        why = f" (auto: {settled.reason})" if settled.reason else ""
        say(
            f"{encoder} ({', '.join(map(str, loaded.rules))}, K = {loaded.embedding_size}, "
            f"{loaded.image_size} px) on "
            f"{where}, {method.value}, {products}{why}"
        )
        run_settings = {"views": views, "store": groups, "refine": refinement}
        scorer_settings: dict[str, Any] = {
            "precision": settled.precision,
            "batch_size": batch_size,
            "seed": seed,
            "processes": processes or 1,
            "devices": devices,
        }
        if method.value == "auto":
            # What a run would refuse is refused before the calibration, which takes a while.
            exact = Scorer(loaded, Exact(), **scorer_settings)
            is_exact = check_before_choosing(
                exact, opened, out, views=views, store=groups, at_any_cost=at_any_cost
            )
            estimator = automatic(
                loaded,
                opened,
                out,
                rank=rank.value,
                calibration=calibration,
                target_spearman=target_spearman,
                calibration_images=calibration_images,
                precision=settled.precision,
                batch_size=batch_size,
                seed=seed,
                devices=devices,
                limit=limit,
                at_any_cost=at_any_cost,
                refinable=refinement is not None,
                is_exact=is_exact,
                stop=command.stop,
            )
        else:
            estimator = make_estimator(
                method.value,
                method_settings,
                encoder=loaded,
                precision=settled.precision,
                calibration=read_calibration(method.value, calibration),
                rank=rank.value,
            )
        if settled.line is not None:
            estimator = Corrected(settled.line)
        if processes is None:
            total = count_of(opened, limit, views)
            processes = worthwhile(loaded, estimator, total, batch_size)
        if processes > 1:
            say(f"{processes} processes, each on its share of the cores")
        scorer_settings["processes"] = processes
        scorer = Scorer(loaded, estimator, **scorer_settings)
        chosen = method.value == "auto" or precision.value == "auto"
        if chosen and isinstance(estimator, Exact):
            run_settings["refine"] = None  # Nothing is left to refine.
        if at_any_cost and (dear := too_dear(scorer)) is not None:
            say(dear.cost, "yellow")
        timing = contextlib.nullcontext() if profile is None else Profile(profile)
        with timing as timed, Progressing("scoring", command.stop) as progress:
            summary = scorer.run(
                opened,
                out,
                **run_settings,
                limit=limit,
                engine=elsewhere,
                on_status=progress.tell,
                retry=retry.value if retry else None,
                changed=changed.value,
                on_changed=functools.partial(say_changed, rescored=changed.value == "rescore"),
                part=of_all,
                on_start=progress.start,
                on_row=progress.advance,
                facts=settled.facts,
                at_any_cost=at_any_cost,
            )
        say(closing(summary, out, changed.value))
        if timed is not None:
            say(timed.write(scorer))
        if summary.scored and not summary.counts.get("ok"):
            raise typer.Exit(1)
