"""`jepa-jax score`: every image of a source gets its row."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jepa_jax.commands.candidates import print_candidates
from jepa_jax.commands.options import Precision
from jepa_jax.commands.terminal import (
    Progressing,
    leave,
    messages,
    plain_errors,
    warn_of_idle_gpu,
)


class _Method(StrEnum):
    exact = "exact"
    sketch = "sketch"
    lanczos = "lanczos"
    hutchinson = "hutchinson"
    auto = "auto"


class _Rank(StrEnum):
    structural = "structural"
    clip = "clip"


def score(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, image, .txt list, .tar, .parquet, .npz, pattern such as 'shards/*.tar', "
            "or 'hf:owner/name[:split]'."
        ),
    ],
    encoder: Annotated[
        str, typer.Option(help="'embedded', a checkpoint folder, or a hub name (see `encoders`).")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the scores; the same command continues it.")
    ],
    method: Annotated[
        _Method, typer.Option(help="Estimator; auto: the fastest that reaches --target-spearman.")
    ] = _Method.exact,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder made by `calibrate`, for sketch and auto.")
    ] = None,
    cotangents: Annotated[int, typer.Option(min=1, help="sketch: VJPs an image.")] = 32,
    steps: Annotated[int, typer.Option(min=1, help="lanczos: steps.")] = 20,
    degree: Annotated[int, typer.Option(min=1, help="hutchinson: polynomial degree.")] = 50,
    probes: Annotated[int, typer.Option(min=1, help="lanczos, hutchinson: random probes.")] = 4,
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
    precision: Annotated[Precision, typer.Option(help="Matrix products.")] = Precision.highest,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at once.")] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="On a CPU: worker processes (default: one a core in long runs)."),
    ] = None,
    views: Annotated[int, typer.Option(min=1, help="Random views an image (Eq. 4).")] = 1,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Side of the encoder's input, pixels.")
    ] = None,
    embedding: Annotated[
        str | None,
        typer.Option(help="cls, mean, projected, cls@N, each with an optional +normalized."),
    ] = None,
    store: Annotated[
        str, typer.Option(help="Groups of columns to add: embedding,spectrum,image.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of views and random estimators.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images.")] = None,
) -> None:
    """Score every image of SOURCE: one row an input, in a folder that a rerun continues."""
    with plain_errors():
        import jax

        from jepa_jax import Exact, Scorer, load_encoder
        from jepa_jax.scoring.processes import worthwhile
        from jepa_jax.scoring.refine import Refinement

        shares = {"low": _share(refine, "--refine"), "high": _share(refine_high, "--refine-high")}
        refinement = Refinement(**shares) if any(shares.values()) else None
        loaded = load_encoder(encoder, embedding=embedding, image_size=image_size)
        device = jax.devices()[0]
        messages.print(
            f"{encoder} ({loaded.rule}, K = {loaded.embedding_size}, {loaded.image_size} px) on "
            f"{device.platform} ({device.device_kind}), {method.value}, precision {precision.value}"
        )
        warn_of_idle_gpu(device.platform)
        groups = [name.strip() for name in store.split(",") if name.strip()]
        try:
            estimator = _estimator(
                method,
                loaded,
                source,
                out,
                rank=rank.value,
                calibration=calibration,
                cotangents=cotangents,
                steps=steps,
                degree=degree,
                probes=probes,
                target_spearman=target_spearman,
                calibration_images=calibration_images,
                precision=precision.value,
                batch_size=batch_size,
                seed=seed,
                limit=limit,
            )
            if processes is None and device.platform != "cpu":
                processes = 1  # Without a listing of the source.
            elif processes is None:
                total = _count(source, limit, views)
                processes = worthwhile(loaded, estimator, total, batch_size)
            if processes > 1:
                messages.print(f"{processes} processes, each on its share of the cores")
            scorer = Scorer(
                loaded,
                estimator,
                precision=precision.value,
                batch_size=batch_size,
                seed=seed,
                processes=processes,
            )
            if method == _Method.auto and isinstance(estimator, Exact):
                refinement = None  # Nothing is left to refine.
            with Progressing("scoring") as progress:
                summary = scorer.run(
                    source,
                    out,
                    views=views,
                    store=groups,
                    limit=limit,
                    refine=refinement,
                    on_start=progress.start,
                    on_row=progress.advance,
                )
        except KeyboardInterrupt:
            messages.print(f"stopped: {out} keeps what is scored; the same command continues")
            leave(130)
        messages.print(_closing(summary, out))
        if summary.scored and not summary.counts.get("ok"):
            raise typer.Exit(1)


def _estimator(method: _Method, encoder, source: str, out: Path, **s):
    """The estimator that the options of `score` name."""
    from jepa_jax import Exact, Hutchinson, Lanczos
    from jepa_jax.scoring import load_calibration

    if method == _Method.exact:
        return Exact(rank=s["rank"])
    if method == _Method.lanczos:
        return Lanczos(steps=s["steps"], probes=s["probes"], rank=s["rank"])
    if method == _Method.hutchinson:
        return Hutchinson(degree=s["degree"], probes=s["probes"], rank=s["rank"])
    if s["rank"] != "structural":
        raise ValueError(f"--method {method.value} needs --rank structural, got {s['rank']}")
    if method == _Method.sketch:
        if s["calibration"] is None:
            raise ValueError(
                "--method sketch needs --calibration DIR, made by `jepa-jax calibrate SOURCE "
                "--encoder E --out DIR`; --method auto calibrates by itself"
            )
        calibration = load_calibration(s["calibration"])
        return calibration.sketch(encoder, s["cotangents"], s["precision"])
    return _automatic(encoder, source, out, **s)


def _automatic(encoder, source: str, out: Path, **s):
    """The fastest estimator that reaches the target on calibration images; says which."""
    from jepa_jax import Exact
    from jepa_jax.scoring import load_calibration
    from jepa_jax.scoring.calibration import calibrate_for_run

    total = _count(source, s["limit"])
    if s["calibration"] is not None:
        calibration = load_calibration(s["calibration"])
    elif total is not None and total < 2 * s["calibration_images"]:
        messages.print(
            f"auto: {total} images are too few to calibrate on {s['calibration_images']} "
            "of them: exact"
        )
        return Exact()
    else:
        with Progressing("calibrating") as progress:
            calibration = calibrate_for_run(
                out,
                encoder,
                source,
                images=s["calibration_images"],
                precision=s["precision"],
                batch_size=s["batch_size"],
                seed=s["seed"],
                limit=s["limit"],
                on_start=progress.start,
                on_image=progress.advance,
            )
    calibration.check(encoder, s["precision"])
    print_candidates(calibration, total)
    chosen = calibration.choose(s["target_spearman"])
    messages.print(f"auto: {chosen.name} (the fastest of {s['target_spearman']} and above)")
    return chosen.estimator()


def _count(source: str, limit: int | None, views: int = 1) -> int | None:
    """How many views of images there are to score, None where that is not known."""
    from jepa_jax.data import open_source

    total = open_source(source).count()
    if limit is not None:
        total = limit if total is None else min(total, limit)
    return None if total is None else total * views


def _share(text: str | None, option: str) -> float:
    """'5%' or '0.05' as .05; 0 for none."""
    if text is None:
        return 0.0
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise ValueError(f"{option} must be a share such as '5%' or '0.05', got {text!r}")
    return share


def _closing(summary, out: Path) -> str:
    counts = ", ".join(f"{n} {status}" for status, n in sorted(summary.counts.items()))
    if summary.refined:
        counts += f", {summary.refined} scored again exactly"
    text = f"{counts or 'nothing left to do'} in {summary.seconds:.1f} s"
    if summary.resumed:
        text += f"; {summary.resumed} rows were there"
    return f"{text}. Look at them: jepa-jax show {out}, or jepa-jax report {out}"
