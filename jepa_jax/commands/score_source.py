"""`jepa-jax score SOURCE --out DIR`: step by step what a run is made of, and then the run."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jepa_jax.commands.automatic import automatic
from jepa_jax.commands.estimators import check_one_embedding, make_estimator, read_calibration
from jepa_jax.commands.loading import load
from jepa_jax.commands.options import check_settings, open_images, share_of, split_store
from jepa_jax.commands.precision_auto import Settled, check_asked, settle
from jepa_jax.commands.score_words import closing, say_changed
from jepa_jax.commands.terminal import Progressing, say, warn_of_idle_gpu
from jepa_jax.object_stores import Place
from jepa_jax.store.folder import check_apart


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options of `jepa-jax score` by their names, enumerations as their words."""

    source: str
    encoder: str
    out: Place
    method: str
    calibration: Place | None
    method_settings: dict[str, int | float]
    refine: str | None
    refine_high: str | None
    target_spearman: float
    calibration_images: int
    rank: str
    precision: Any
    target_agreement: float
    correct: int | None
    batch_size: int | None
    devices: int | None
    processes: int | None
    views: int
    clips: int | None
    stride: int | None
    frame_step: int | None
    image_size: int | None
    embedding: str | None
    part: str | None
    shuffle: int | None
    store: str
    seed: int
    limit: int | None
    image_column: str | None
    id_column: str | None
    allow_outside: bool
    retry: str | None
    changed: str
    at_any_cost: bool
    profile: Path | None


def score_source(wanted: Wanted, engine: Any, command: Any) -> bool:
    """Runs it; whether any of what was scored has a score. `engine`: None for this process."""
    out = wanted.out
    command.stopped = f"stopped: {out} keeps what is scored; the same command continues"
    check_apart(out, on_stores=True)
    check_settings(wanted.method_settings, [wanted.method])
    refinement = _refinement(wanted)

    from jepa_jax.data.sources.source import count_within
    from jepa_jax.estimators import Corrected, Exact
    from jepa_jax.scoring import Profile, Scorer
    from jepa_jax.scoring.affordable import too_dear
    from jepa_jax.scoring.batch_sizes import worthwhile
    from jepa_jax.scoring.work import WHOLE, Part

    if wanted.profile is not None and engine is not None:
        raise ValueError("--profile is of --engine local: it times this process")
    part = WHOLE if wanted.part is None else Part.parse(wanted.part)
    if part != WHOLE and wanted.method == "auto" and wanted.calibration is None:
        raise ValueError(
            "--part with --method auto needs --calibration: calibrate once (jepa-jax calibrate)"
        )
    of_clips = (wanted.clips, wanted.stride, wanted.frame_step)
    columns = (wanted.image_column, wanted.id_column)
    source = open_images(wanted.source, *columns, wanted.allow_outside, wanted.shuffle, *of_clips)
    encoder = load(wanted.encoder, wanted.embedding, wanted.image_size, wanted.clips)
    _check_together(
        wanted, encoder, refinement, "--part" if part != WHOLE else "--engine ray" * bool(engine)
    )
    checks = functools.partial(_check_run, wanted, source)
    settled = _settled(wanted, encoder, source, checks, command)
    devices, processes, where = _where(wanted, engine)
    _say_start(wanted, encoder, settled, where, engine)
    settings: dict[str, Any] = {
        "precision": settled.precision,
        "batch_size": wanted.batch_size,
        "seed": wanted.seed,
        "devices": devices,
    }
    if wanted.method == "auto":
        # What a run would refuse is refused before the calibration, which takes a while.
        is_exact = checks(Scorer(encoder, Exact(), **settings, processes=processes or 1))
        estimator = automatic(
            encoder,
            source,
            out,
            rank=wanted.rank,
            calibration=wanted.calibration,
            target_spearman=wanted.target_spearman,
            calibration_images=wanted.calibration_images,
            limit=wanted.limit,
            at_any_cost=wanted.at_any_cost,
            refinable=refinement is not None,
            is_exact=is_exact,
            stop=command.stop,
            engine=engine,
            **settings,
        )
    else:
        estimator = make_estimator(
            wanted.method,
            wanted.method_settings,
            encoder=encoder,
            precision=settled.precision,
            calibration=read_calibration(wanted.method, wanted.calibration),
            rank=wanted.rank,
        )
    if settled.line is not None:
        estimator = Corrected(settled.line)
    if processes is None:
        total = count_within(source, wanted.limit)
        inputs = None if total is None else total * wanted.views
        processes = worthwhile(encoder, estimator, inputs, wanted.batch_size)
    if processes > 1:
        say(f"{processes} processes, each on its share of the cores")
    scorer = Scorer(encoder, estimator, **settings, processes=processes)
    if "auto" in (wanted.method, wanted.precision) and isinstance(estimator, Exact):
        refinement = None  # Nothing is left to refine.
    if wanted.at_any_cost and (dear := too_dear(scorer)) is not None:
        say(dear.cost, "yellow")
    timing = contextlib.nullcontext() if wanted.profile is None else Profile(wanted.profile)
    with timing as timed, Progressing("scoring", command.stop) as progress:
        summary = scorer.run(
            source,
            out,
            views=wanted.views,
            store=split_store(wanted.store),
            refine=refinement,
            limit=wanted.limit,
            engine=engine,
            on_status=progress.tell,
            retry=wanted.retry,
            changed=wanted.changed,
            on_changed=functools.partial(say_changed, rescored=wanted.changed == "rescore"),
            part=part,
            on_start=progress.start,
            on_row=progress.advance,
            facts=settled.facts,
            at_any_cost=wanted.at_any_cost,
        )
    say(closing(summary, out, wanted.changed))
    if timed is not None:
        say(timed.write(scorer))
    return bool(summary.counts.get("ok")) or not summary.scored


def _check_run(wanted: Wanted, source: Any, scorer: Any) -> bool:
    """Raises what a run with this scorer would, before anything dear is measured; whether the rows
    that are there are exact."""
    from jepa_jax.scoring.run import check_before_choosing

    return check_before_choosing(
        scorer,
        source,
        wanted.out,
        views=wanted.views,
        store=split_store(wanted.store),
        at_any_cost=wanted.at_any_cost,
    )


def _refinement(wanted: Wanted) -> Any:
    """What is scored again, None for nothing. Says what is wrong of the shares without JAX."""
    low = share_of(wanted.refine, "--refine")
    high = share_of(wanted.refine_high, "--refine-high")
    if not (low or high):
        return None
    from jepa_jax.scoring.refine import Refinement

    return Refinement(low=low, high=high)


def _check_together(wanted: Wanted, encoder: Any, refinement: Any, apart: str) -> None:
    """Raises on options that do not go together; `apart`: that by which work is done in places."""
    fitted = {
        "--method auto": wanted.method == "auto",
        "--calibration": wanted.calibration is not None,
        "--precision auto": wanted.precision == "auto",
        "--correct": wanted.correct is not None,
    }
    check_one_embedding(encoder, fitted)
    auto = wanted.precision == "auto" and wanted.calibration is None
    refined = refinement is not None
    check_asked(auto, wanted.correct, wanted.method, wanted.rank, refined, apart)


def _settled(
    wanted: Wanted, encoder: Any, source: Any, checks: Callable[[Any], bool], command: Any
) -> Settled:
    """The precision, and a correction."""
    from jepa_jax.estimators import Exact
    from jepa_jax.scoring import Scorer

    size, seed = wanted.batch_size, wanted.seed
    return settle(
        wanted.precision,
        wanted.correct,
        encoder=encoder,
        source=source,
        out=wanted.out,
        calibration=wanted.calibration,
        target=wanted.target_agreement,
        batch_size=size,
        limit=wanted.limit,
        at_any_cost=wanted.at_any_cost,
        stop=command.stop,
        check=lambda precision: checks(
            Scorer(encoder, Exact(), precision=precision, batch_size=size, seed=seed)
        ),
    )


def _where(wanted: Wanted, engine: Any) -> tuple[int | None, int | None, str]:
    """Devices, processes (None: not known yet), and both in words."""
    from jepa_jax.xla import default_devices

    if engine is not None:
        return 0, 1, "a Ray cluster"
    there = default_devices()
    device, used = there[0], wanted.devices or len(there)
    warn_of_idle_gpu(device.platform)
    processes = wanted.processes
    if device.platform != "cpu" or used > 1:
        processes = processes or 1  # Without a listing of the source.
    several = f"{used} x " if used > 1 else ""
    return wanted.devices, processes, f"{several}{device.platform} ({device.device_kind})"


def _say_start(wanted: Wanted, encoder: Any, settled: Settled, where: str, engine: Any) -> None:
    from jepa_jax.scoring.numerics import precision_in_words

    products = precision_in_words(settled.precision)
    if engine is not None:
        products = f"precision {settled.precision}"  # Its devices are not known here.
    why = f" (auto: {settled.reason})" if settled.reason else ""
    say(
        f"{wanted.encoder} ({', '.join(map(str, encoder.rules))}, K = {encoder.embedding_size}, "
        f"{encoder.image_size} px) on {where}, {wanted.method}, {products}{why}"
    )
