"""Options that several commands share, each written once, and the settings of the methods."""

import contextlib
import functools
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jepa_jax.commands.terminal import say
from jepa_jax.estimators.methods import METHODS
from jepa_jax.object_stores import place
from jepa_jax.precisions import PRECISIONS

if TYPE_CHECKING:  # It does not know what a registry makes of it.
    Method = MethodOrAuto = PrecisionOrAuto = StrEnum
else:
    PrecisionOrAuto = StrEnum("PrecisionOrAuto", [*PRECISIONS, "auto"])
    Method = StrEnum("Method", list(METHODS))
    MethodOrAuto = StrEnum("MethodOrAuto", [*METHODS, "auto"])


class Precision(StrEnum):
    highest = "highest"
    tf32 = "tf32"
    bf16 = "bf16"
    tf32x3 = "tf32x3"
    bf16x3 = "bf16x3"


class Engine(StrEnum):
    local = "local"
    ray = "ray"


class OnLost(StrEnum):
    end = "end"
    skip = "skip"


# Typer knows no unions: what `place` gives, here or on an object store, is what a command gets.
Scores = Annotated[
    Any, typer.Argument(metavar="DIR", parser=place, help="A folder made by `score`.")
]
OutFolder = Annotated[
    Any,
    typer.Option(
        metavar="DIR",
        parser=place,
        help="Folder for the scores, here or as 's3://bucket/scores'; the same command continues "
        "it.",
    ),
]
CalibrationFolder = Annotated[
    Any, typer.Option(metavar="DIR", parser=place, help="Folder made by `calibrate`.")
]
Source = Annotated[
    str,
    typer.Argument(
        help="Folder, image, .txt list, .tar, .parquet, .npz, pattern such as 'shards/*.tar', "
        "or 'hf:owner/name[:split]'."
    ),
]
ImageColumn = Annotated[
    str | None, typer.Option(help="Of tables: the column of images, 'a.b' within a struct.")
]
IdColumn = Annotated[str | None, typer.Option(help="Of tables: the column of ids, likewise.")]
AllowOutside = Annotated[
    bool,
    typer.Option("--allow-outside", help="Of tables: paths may lead out of the table's folder."),
]
ImagesNow = Annotated[
    str | None, typer.Option(help="Where the images are now, if not where they were scored.")
]
NoImages = Annotated[bool, typer.Option("--no-images", help="No pictures.")]
_ENCODER = typer.Option(help="'embedded', a checkpoint folder, or a hub name (see `encoders`).")
Encoder = Annotated[str, _ENCODER]
EncoderOrNone = Annotated[str | None, _ENCODER]
Embedding = Annotated[
    str | None,
    typer.Option(
        help="cls, mean, pooled, projected, projector, cls@N, mean@N, each with an optional "
        "+normalized; "
        "score: several, 'cls@4,cls@8,cls', in one pass, jepa_score by the last."
    ),
]
ImageSize = Annotated[int | None, typer.Option(min=1, help="Side of the encoder's input, pixels.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images at once on each device.")]
Devices = Annotated[
    int | None, typer.Option(min=1, help="Devices of this machine to use (default: all).")
]
MatrixProducts = Annotated[Precision, typer.Option(help="Matrix products.")]
FramesOfClips = Annotated[
    int | None,
    typer.Option(
        "--clips", min=1, help="SOURCE is a folder of clips: score N frames of each (V-JEPA)."
    ),
]
Stride = Annotated[
    int | None,
    typer.Option(min=1, help="--clips: each window of N frames, one every so many frames."),
]
FrameStep = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="--clips: a window's frames are so many apart (1: in a row); without --stride, one "
        "window in the middle of each clip, and not N frames evenly of all.",
    ),
]
AtAnyCost = Annotated[
    bool,
    typer.Option("--at-any-cost", help="Also where a score takes hours, or more than the memory."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N images.")]
Seed = Annotated[int, typer.Option(help="Seed of all that is random.")]
WhichEngine = Annotated[
    Engine, typer.Option("--engine", help="Where to compute: this process, or a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(help="ray: of the cluster (default: RAY_ADDRESS, or this machine alone)."),
]
ClusterWorkers = Annotated[
    int | None, typer.Option(min=1, help="ray: worker processes (default: as many as fit).")
]
DevicesPerWorker = Annotated[
    int | None,
    typer.Option(min=0, help="ray: accelerators a worker (default: 1 if there are any, else 0)."),
]
CpusPerWorker = Annotated[int, typer.Option(min=1, help="ray: cores a worker.")]
Labels = Annotated[
    str,
    typer.Option(
        help="Classes: auto, folder, top, none, column:NAME of the source, or a CSV or Parquet "
        "file of id and label."
    ),
]


def with_method_settings(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with an option for every setting of the methods in the place of its parameter
    `method_settings`, which gets those that were given; a parameter `given` gets the names of all
    options that were."""
    meanings: dict[str, str] = {}
    whole: dict[str, bool] = {}
    for method in METHODS.values():
        for s in method.settings:
            of = f"{method.name}: {s.meaning}" + (f" ({s.default})" if s.default else "")
            meanings[s.name] = f"{meanings[s.name]}; {of}" if s.name in meanings else of
            whole[s.name] = s.default is not None
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == "given":
            continue
        if parameter.name != "method_settings":
            parameters.append(parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD))
            continue
        for name, meaning in meanings.items():
            if whole[name]:
                option = Annotated[int | None, typer.Option(min=1, help=f"{meaning}.")]
            else:
                option = Annotated[float | None, typer.Option(help=f"{meaning}.")]
            parameters.append(
                inspect.Parameter(
                    name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=option
                )
            )
    wants_given = "given" in inspect.signature(command).parameters
    if wants_given:  # The last, and by default none: a command is a function, too.
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter("given", kind, default=None, annotation=typer.Context))
    signature = inspect.Signature(parameters)

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        called_with = frozenset(bound.arguments)
        bound.apply_defaults()
        values = {name: bound.arguments.pop(name) for name in meanings}
        settings = {name: value for name, value in values.items() if value is not None}
        if wants_given:
            context = bound.arguments["given"]
            bound.arguments["given"] = called_with if context is None else _given(context)
        command(**bound.arguments, method_settings=settings)

    del run.__wrapped__  # Its own signature is the one that counts.
    setattr(run, "__signature__", signature)  # noqa: B010
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _given(context: Any) -> frozenset[str]:
    """The names of the parameters that the command line names. (A `typer.Context` is what Typer
    looks for, not what it gives.)"""
    source = lambda name: context.get_parameter_source(name)
    return frozenset(
        name for name in context.params if (s := source(name)) and s.name == "COMMANDLINE"
    )


def check_settings(settings: dict[str, int | float], methods: Iterable[str]) -> None:
    """Raises `ValueError` where an option was given that belongs to none of these methods."""
    methods = list(methods)
    known = {s.name for name in methods if name in METHODS for s in METHODS[name].settings}
    for name in settings:
        if name not in known:
            owners = [m.name for m in METHODS.values() if name in {s.name for s in m.settings}]
            raise ValueError(
                f"--{name} is a setting of {' and '.join(owners)}, not of {' or '.join(methods)}"
            )


def open_images(
    source: str,
    image_column: str | None,
    id_column: str | None,
    allow_outside: bool,
    shuffle: int | None = None,
    clips: int | None = None,
    stride: int | None = None,
    frame_step: int | None = None,
) -> Any:
    """The source of images that a command names; what it leaves out is said."""
    from jepa_jax.data import Clips, Shuffled, open_source
    from jepa_jax.data.left_out import as_lines, left_out

    for option, value in (("--stride", stride), ("--frame-step", frame_step)):
        if clips is None and value is not None:
            raise ValueError(f"{option} is of windows of clips: it needs --clips")
    if clips is not None:
        if not Path(source).is_dir():
            raise ValueError(f"--clips needs a folder of clips, got {source!r}")
        opened = Clips(Path(source), clips, stride=stride, frame_step=frame_step)
    else:
        opened = open_source(
            source, image_column=image_column, id_column=id_column, outside=allow_outside
        )
    for line in as_lines(left_out(opened)):
        say(f"left out: {line}", style="yellow")
    return opened if shuffle is None else Shuffled(opened, shuffle)


def images_for_pictures(images: str | None, no_images: bool) -> str | None:
    """Where they are, as `jepa_jax.report.pictures.Where` takes it: "" for no pictures."""
    if no_images and images is not None:
        raise ValueError("--images and --no-images exclude each other")
    return "" if no_images else images


def share_of(text: str | None, option: str) -> float:
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


def split_store(text: str) -> list[str]:
    """'embedding,image' as a list of groups of columns."""
    return [name.strip() for name in text.split(",") if name.strip()]


# Options of `--engine ray` that have a default.
CPUS_PER_WORKER, ON_LOST = 1, OnLost.end
_OF_RAY = {"address": None, "workers": None, "devices_per_worker": None}
_OF_RAY |= {"cpus_per_worker": CPUS_PER_WORKER, "on_lost": ON_LOST}


@contextlib.contextmanager
def engine_named(engine: Engine, **settings: Any) -> Iterator[Any]:
    """The engine that is named, None for this process; closed at the end.

    `ValueError` where an option is given that it does not have, or its library is not there.

    To be entered before JAX is imported: on a machine with an accelerator, the process that hands
    out work must leave it to a worker.
    """
    if engine is Engine.local:
        given = [n for n, value in settings.items() if n in _OF_RAY and value != _OF_RAY[n]]
        if given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ValueError(f"{names}: of --engine ray, not of local")
        yield None
        return
    if settings.pop("devices", None) is not None or settings.pop("processes", None) is not None:
        raise ValueError("--devices and --processes are of --engine local, not of ray")
    if importlib.util.find_spec("ray") is None:
        raise ValueError("--engine ray needs Ray: pip install 'jepa-jax[ray]'")
    os.environ["JAX_PLATFORMS"] = "cpu"
    from jepa_jax.scoring.cluster import Ray

    with Ray(**settings) as ray:
        yield ray
