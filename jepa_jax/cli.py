"""The command line: a thin layer over the library. `jepa-jax --help` lists the commands."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jepa_jax.terminal import Progressing, leave, messages, plain_errors, results, warn_of_idle_gpu

# That PyTorch is not there is as it should be.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

app = typer.Typer(
    help="JEPA-SCORE: how typical an image is of what an encoder was trained on, in nats.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


class _Precision(StrEnum):
    highest = "highest"
    tf32 = "tf32"
    bf16 = "bf16"


class _Method(StrEnum):
    exact = "exact"
    sketch = "sketch"
    lanczos = "lanczos"
    hutchinson = "hutchinson"
    auto = "auto"


class _Rank(StrEnum):
    structural = "structural"
    clip = "clip"


@app.command()
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
    precision: Annotated[_Precision, typer.Option(help="Matrix products.")] = _Precision.highest,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at once.")] = None,
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
            scorer = Scorer(
                loaded,
                estimator,
                precision=precision.value,
                batch_size=batch_size,
                seed=seed,
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


@app.command()
def calibrate(
    source: Annotated[str, typer.Argument(help="Images like those to be scored; as in `score`.")],
    encoder: Annotated[str, typer.Option(help="As in `score`.")],
    out: Annotated[Path, typer.Option(help="Folder for the calibration.")],
    images: Annotated[int, typer.Option(min=16, help="Images to score exactly.")] = 128,
    precision: Annotated[
        _Precision, typer.Option(help="Of the sketch; exact scores are always 'highest'.")
    ] = _Precision.highest,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at once.")] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Side of the encoder's input, pixels.")
    ] = None,
    embedding: Annotated[str | None, typer.Option(help="As in `score`.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random cotangents.")] = 0,
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
    _print_candidates(found, None)
    facts = found.facts
    messages.print(f"{facts['images']} images, {facts['passed_over']} passed over; saved in {out}")


@app.command()
def encoders() -> None:
    """List the encoders that can be loaded, with their sizes and the cost of a VJP."""
    from jepa_jax.encoders.catalogue import catalogue

    layout = "{:<42} {:<8} {:<10} {:>5} {:>6} {:>7} {:>15} {:>13}"
    head = (
        "encoder",
        "family",
        "embedding",
        "K",
        "patch",
        "pixels",
        "parameters (M)",
        "GFLOP a VJP",
    )
    results.print(layout.format(*head), style="bold")
    for e in catalogue():
        sizes = (f"{e.parameters / 1e6:.3g}", f"{e.vjp_flops / 1e9:.3g}")
        row = (e.name, e.family, e.embedding, e.k, e.patch, e.pixels, *sizes)
        results.print(layout.format(*row), markup=False)
    results.print("and any checkpoint folder of these architectures", style="dim")


@app.command()
def show(
    scores: Annotated[Path, typer.Argument(metavar="DIR", help="A folder made by `score`.")],
) -> None:
    """Show a folder of scores: counts by status, quantiles, the ten lowest and highest."""
    with plain_errors():
        from jepa_jax.report import summarize

        summary = summarize(scores)
    settings = summary.settings
    results.print(
        f"{summary.rows} rows of {settings['source']}, {summary.facts['encoder']} "
        f"({settings['encoder']['embedding']}), {settings['estimator']['method']}, "
        f"precision {settings['precision']}, views {settings['views']}",
        markup=False,
    )
    results.print(", ".join(f"{n} {status}" for status, n in sorted(summary.counts.items())))
    if len(summary.methods) > 1 or summary.flagged:
        by_method = ", ".join(f"{n} {method}" for method, n in sorted(summary.methods.items()))
        results.print(f"scores: {by_method}; {summary.flagged} flagged as unlike the calibration's")
    if summary.quantiles:
        results.print("\nscore quantiles, nats", style="bold")
        results.print("".join(f"{q:>10.0%}" for q in summary.quantiles))
        results.print("".join(f"{value:>10.2f}" for value in summary.quantiles.values()))
    for title, rows in (("lowest: least typical", summary.lowest), ("highest", summary.highest)):
        if rows:
            results.print(f"\n{title}", style="bold")
            for value, name in rows:
                results.print(f"{value:12.2f}  {name}", markup=False)
    if summary.failures:
        results.print("\nwithout a score (the first ones)", style="bold")
        for name, status, error in summary.failures:
            results.print(f"{name}: {status}: {error}", markup=False)


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
    from jepa_jax.data import open_source
    from jepa_jax.scoring import load_calibration
    from jepa_jax.scoring.calibration import calibrate_for_run

    total = open_source(source).count()
    if s["limit"] is not None:
        total = s["limit"] if total is None else min(total, s["limit"])
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
    _print_candidates(calibration, total)
    chosen = calibration.choose(s["target_spearman"])
    messages.print(f"auto: {chosen.name} (the fastest of {s['target_spearman']} and above)")
    return chosen.estimator()


def _print_candidates(calibration, total: int | None) -> None:
    """The table of methods: what each costs and what it was measured to be worth."""
    layout = "{:<22} {:>10} {:>10} {:>12} {:>10} {:>12}"
    head = ("method", "cost, VJPs", "images/s", "time", "Spearman", "error, nats")
    messages.print(layout.format(*head), style="bold")
    for c in calibration.candidates():
        time = "" if total is None else _duration(total * c.seconds)
        sizes = (f"{c.cost:.0f}", f"{1 / c.seconds:.3g}", time)
        messages.print(layout.format(c.name, *sizes, f"{c.spearman:.4f}", f"{c.rmse:.2f}"))
    messages.print(
        f"measured on {calibration.facts['images']} images (a sketch: each predicted from the "
        "others); times follow from the exact one's and the covariates', a JVP counted as 1.5 VJPs",
        style="dim",
    )


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


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
    return f"{text}. Look at them: jepa-jax show {out}"
