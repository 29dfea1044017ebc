"""The command line: a thin layer over the library. `jepa-jax --help` lists the commands."""

import os
import shutil
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

app = typer.Typer(
    help="JEPA-SCORE: how typical an image is of what an encoder was trained on, in nats.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# Results go to standard output; progress and messages to standard error.
_messages = Console(stderr=True, highlight=False, soft_wrap=True)
_results = Console(highlight=False, soft_wrap=True)


class _Precision(StrEnum):
    highest = "highest"
    tf32 = "tf32"
    bf16 = "bf16"


class _Method(StrEnum):
    exact = "exact"


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
    method: Annotated[_Method, typer.Option(help="Estimator.")] = _Method.exact,
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
    with _plain_errors():
        import jax

        from jepa_jax import Exact, Scorer, load_encoder

        loaded = load_encoder(encoder, embedding=embedding, image_size=image_size)
        scorer = Scorer(
            loaded,
            Exact(rank=rank.value),
            precision=precision.value,
            batch_size=batch_size,
            seed=seed,
        )
        device = jax.devices()[0]
        _messages.print(
            f"{encoder} ({loaded.rule}, K = {loaded.embedding_size}, {loaded.image_size} px) on "
            f"{device.platform} ({device.device_kind}), {method.value}, precision {precision.value}"
        )
        _warn_of_idle_gpu(device.platform)
        groups = [name.strip() for name in store.split(",") if name.strip()]
        with _progress() as progress:
            bar = progress.add_task("scoring", total=None, rate="")
            begun = time.monotonic()
            rows = 0

            def on_start(total: int | None, done: int) -> None:
                progress.update(bar, total=total, completed=done)

            def on_row(row: dict) -> None:
                nonlocal rows
                rows += 1
                rate = rows / (time.monotonic() - begun)
                progress.update(bar, advance=1, rate=f"{rate:.3g} images/s")

            try:
                summary = scorer.run(
                    source,
                    out,
                    views=views,
                    store=groups,
                    limit=limit,
                    on_start=on_start,
                    on_row=on_row,
                )
            except KeyboardInterrupt:
                _messages.print(f"stopped: {out} keeps what is scored; the same command continues")
                raise typer.Exit(130) from None
        _messages.print(_closing(summary, out))
        if summary.scored and not summary.counts.get("ok"):
            raise typer.Exit(1)


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
    _results.print(layout.format(*head), style="bold")
    for e in catalogue():
        sizes = (f"{e.parameters / 1e6:.3g}", f"{e.vjp_flops / 1e9:.3g}")
        row = (e.name, e.family, e.embedding, e.k, e.patch, e.pixels, *sizes)
        _results.print(layout.format(*row), markup=False)
    _results.print("and any checkpoint folder of these architectures", style="dim")


@app.command()
def show(
    scores: Annotated[Path, typer.Argument(metavar="DIR", help="A folder made by `score`.")],
) -> None:
    """Show a folder of scores: counts by status, quantiles, the ten lowest and highest."""
    with _plain_errors():
        from jepa_jax.report import summarize

        summary = summarize(scores)
    settings = summary.settings
    _results.print(
        f"{summary.rows} rows of {settings['source']}, {summary.facts['encoder']} "
        f"({settings['encoder']['embedding']}), {settings['estimator']['method']}, "
        f"precision {settings['precision']}, views {settings['views']}",
        markup=False,
    )
    _results.print(", ".join(f"{n} {status}" for status, n in sorted(summary.counts.items())))
    if summary.quantiles:
        _results.print("\nscore quantiles, nats", style="bold")
        _results.print("".join(f"{q:>10.0%}" for q in summary.quantiles))
        _results.print("".join(f"{value:>10.2f}" for value in summary.quantiles.values()))
    for title, rows in (("lowest: least typical", summary.lowest), ("highest", summary.highest)):
        if rows:
            _results.print(f"\n{title}", style="bold")
            for value, name in rows:
                _results.print(f"{value:12.2f}  {name}", markup=False)
    if summary.failures:
        _results.print("\nwithout a score (the first ones)", style="bold")
        for name, status, error in summary.failures:
            _results.print(f"{name}: {status}: {error}", markup=False)


class _plain_errors:
    """Errors that a user can act on, as one message and exit status 2; others as they are."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, traceback) -> None:
        if "RESOURCE_EXHAUSTED" in str(error):
            _messages.print("error: out of device memory: try a smaller --batch-size", style="red")
            raise typer.Exit(2) from error
        if isinstance(error, (ValueError, OSError)):
            _messages.print(f"error: {error}", style="red", markup=False)
            raise typer.Exit(2) from error


def _progress() -> Progress:
    """A progress bar on a terminal, nothing elsewhere."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=_messages,
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def _warn_of_idle_gpu(platform: str) -> None:
    """A GPU that JAX does not use is said, loudly: hours would go by on the CPU unnoticed."""
    if platform == "cpu" and (shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")):
        _messages.print(
            "warning: this machine has an NVIDIA GPU, but JAX runs on the CPU: "
            "pip install 'jax[cuda13]' (and see JAX_PLATFORMS)",
            style="bold yellow",
            markup=False,
        )


def _closing(summary, out: Path) -> str:
    counts = ", ".join(f"{n} {status}" for status, n in sorted(summary.counts.items()))
    text = f"{counts or 'nothing left to do'} in {summary.seconds:.1f} s"
    if summary.resumed:
        text += f"; {summary.resumed} rows were there"
    return f"{text}. Look at them: jepa-jax show {out}"
