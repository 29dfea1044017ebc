"""`jepa-jax evaluate`: the score beside label-free baselines, without leakage."""

import functools
import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

from jepa_jax.commands.estimators import check_one_embedding, make_estimator
from jepa_jax.commands.loading import load
from jepa_jax.commands.options import (
    AllowOutside,
    AtAnyCost,
    BatchSize,
    Embedding,
    IdColumn,
    ImageColumn,
    ImageSize,
    MatrixProducts,
    Method,
    Precision,
    Seed,
    check_settings,
    open_images,
    with_method_settings,
)
from jepa_jax.commands.terminal import (
    Progressing,
    plain_errors,
    say,
    spelled,
    warn_of_idle_gpu,
)
from jepa_jax.estimators.methods import METHODS

_OURS = ("evaluation.json", "evaluation.png", "image_scores.parquet", "scores", "calibration")


@with_method_settings
def evaluate(
    reference: Annotated[
        str,
        typer.Option(help="Typical images to fit on: a source as in `score`, or a scores folder."),
    ],
    inliers: Annotated[str, typer.Option(help="Other typical images, to test on; likewise.")],
    outliers: Annotated[
        list[str],
        typer.Option(help="Images to be told from inliers; likewise. May be given several times."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for results; the same command continues it.")],
    encoder: Annotated[
        str | None, typer.Option(help="As in `score`; not needed where all sets are scored.")
    ] = None,
    method: Annotated[
        list[Method] | None,
        typer.Option(help="Estimator of the score; several may be given. [default: exact]"),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="sketch: a calibration; without one, made on reference images."),
    ] = None,
    *,
    method_settings: dict[str, int | float],
    neighbours: Annotated[str, typer.Option(help="k of k-NN, several.")] = "1,5,50",
    flow: Annotated[bool, typer.Option(help="Fit a normalising flow too.")] = True,
    drop_shared: Annotated[
        bool,
        typer.Option(help="Leave shared images out of the tested sets, instead of an error."),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N images of each source.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")] = 1000,
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    precision: MatrixProducts = Precision.highest,
    batch_size: BatchSize = None,
    image_size: ImageSize = None,
    embedding: Embedding = None,
    seed: Seed = 0,
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    allow_outside: AllowOutside = False,
    at_any_cost: AtAnyCost = False,
) -> None:
    """Compare the JEPA-SCORE with label-free baselines. Who tells OUTLIERS from INLIERS best?

    Everything is fitted on REFERENCE; that no image is in two sets is checked by pixels.
    """
    with plain_errors() as command:
        command.stopped = f"stopped: {out} keeps what is scored; the same command continues"
        from jepa_jax.evaluation import default_detectors
        from jepa_jax.evaluation import evaluate as run
        from jepa_jax.store.folder import check_ours
        from jepa_jax.xla import default_device

        check_ours(out, lambda name: name in _OURS)
        if importlib.util.find_spec("sklearn") is None:
            raise ValueError("evaluate needs scikit-learn: pip install 'jepa-jax[evaluation]'")
        ks = _numbers(neighbours)
        methods = list(dict.fromkeys(each.value for each in method or ())) or ["exact"]
        check_settings(method_settings, methods)
        open_set = functools.partial(_open_set, (image_column, id_column, allow_outside))
        sources = {name: open_set(source) for name, source in _named(outliers).items()}
        typical, other = open_set(reference), open_set(inliers)
        loaded = None
        if encoder is not None:
            loaded = load(encoder, embedding, image_size)
            check_one_embedding(loaded, {"evaluate": True})
            platform = default_device().platform
            say(f"{encoder} ({loaded.rule}, {loaded.image_size} px) on {platform}")
            warn_of_idle_gpu(platform)
        calibrated = None
        if any(METHODS[each].calibrated for each in methods):
            calibrated = _calibration(
                loaded,
                typical,
                out,
                calibration,
                precision,
                batch_size,
                seed,
                limit,
                at_any_cost,
                command.stop,
            )
        columns = (
            ["jepa_score"] if len(methods) == 1 else [f"jepa_score:{each}" for each in methods]
        )
        found = run(
            loaded,
            reference=typical,
            inliers=other,
            outliers=sources,
            out=out,
            estimators={
                each: make_estimator(
                    each,
                    method_settings,
                    encoder=loaded,
                    precision=precision.value,
                    calibration=calibrated,
                )
                for each in methods
            }
            if loaded is not None
            else None,
            calibration=calibrated,
            detectors=default_detectors(columns, neighbours=ks, flow=flow, seed=seed),
            drop_shared=drop_shared,
            limit=limit,
            precision=precision.value,
            batch_size=batch_size,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
            at_any_cost=at_any_cost,
            on_scoring=functools.partial(Progressing, stop=command.stop),
        )
        _write(found, out)
    _show(found, out)


def _open_set(options: tuple[str | None, str | None, bool], name: str) -> Any:
    """A set's images, opened with the columns that were named; a scores folder's name as it is."""
    from jepa_jax.store.manifest import is_scores_folder

    return name if is_scores_folder(name) else open_images(name, *options)


def _numbers(text: str) -> list[int]:
    """'1,5' as [1, 5]."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"--neighbours must be numbers such as '1,5,50', got {text!r}") from error


def _named(sources: list[str]) -> dict[str, str]:
    """Sources by short names: the last part of a path, and what precedes it where two are alike."""
    names: dict[str, str] = {}
    for source in sources:
        parts = Path(source.removeprefix("hf:")).parts
        name = next(
            (
                candidate
                for take in range(1, len(parts) + 1)
                if (candidate := "/".join(parts[-take:])) not in names
            ),
            None,
        )
        if name is None:
            raise ValueError(f"--outliers {source} is given twice")
        names[name] = source
    return names


def _calibration(
    encoder, reference, out: Path, given, precision, batch_size, seed, limit, at_any_cost, stop
):
    """The calibration that was given, or one of reference images alone, kept in `out`."""
    from jepa_jax.calibration import calibrate, load_calibration
    from jepa_jax.calibration.calibration import FACTS
    from jepa_jax.store.manifest import is_scores_folder

    if given is not None:
        return load_calibration(given)
    if encoder is None or is_scores_folder(reference):
        raise ValueError(
            "--method sketch calibrates on reference images: give an encoder and a source of "
            "images, or --calibration"
        )
    folder = out / "calibration"
    if (folder / FACTS).exists():
        return load_calibration(folder)
    with Progressing("calibrating", stop) as progress:
        found = calibrate(
            encoder,
            reference,
            precision=precision.value,
            batch_size=batch_size,
            seed=seed,
            limit=limit,
            at_any_cost=at_any_cost,
            on_start=progress.start,
            on_image=progress.advance,
        )
    found.save(folder)
    return found


def _write(found, out: Path) -> None:
    """evaluation.json, evaluation.png and image_scores.parquet."""
    from jepa_jax.atomic_files import remove_leftovers
    from jepa_jax.evaluation.figure import draw
    from jepa_jax.evaluation.results import write_image_scores, write_json

    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    write_json(found.record(), out / "evaluation.json")
    write_image_scores(found, out / "image_scores.parquet")
    try:
        draw(found.comparison, out / "evaluation.png")
    except ModuleNotFoundError as error:
        say(f"warning: no figure: {error}", "yellow")


def _show(found, out: Path) -> None:
    from jepa_jax.evaluation.tables import aligned, table

    comparison = found.comparison
    sizes = ", ".join(f"{n} {name}" for name, n in comparison.sizes.items())
    show = functools.partial(say, result=True)
    show(f"Images: {sizes}.")
    for name in comparison.outliers:
        show(f"\ninliers against {spelled(name)}")
        for line in aligned(table(comparison, name)):
            show(spelled(line))
    show(
        "\nAUROC: the probability that an inlier scores higher; .5 is guessing; like size: among "
        "images of a like JPEG size, within its quartiles. FPR95-in: outliers accepted where 95 % "
        "of the inliers are; FPR95-out: inliers rejected where 95 % of the outliers are. Low is "
        "good for both."
    )
    for name, reason in comparison.left_out.items():
        say(f"left out: {spelled(name)}: {reason}")
    for name, counts in found.failed.items():
        each = ", ".join(f"{n} {status}" for status, n in counts.items())
        say(f"without a score in {spelled(name)}: {each}")
    for name, count in found.dropped.items():
        say(f"dropped from {spelled(name)}: {count} that another set has")
    for shared in found.near:
        say(
            f"warning: {len(shared.near)} images of {shared.first} are nearly the same as one in "
            f"{shared.second}, such as {' and '.join(map(spelled, shared.near[0][:2]))}",
            "yellow",
        )
    for note in found.unchecked:
        say(f"warning: not checked: {note}", "bold yellow")
    say(f"{out / 'evaluation.json'}, evaluation.png and image_scores.parquet have all")
