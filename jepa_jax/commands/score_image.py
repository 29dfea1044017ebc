"""`jepa-jax score IMAGE` without `--out`: one image, answered in place."""

import dataclasses
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jepa_jax.commands.estimators import check_one_embedding, make_estimator, read_calibration
from jepa_jax.commands.half_blocks import cells, print_cells
from jepa_jax.commands.loading import load
from jepa_jax.commands.options import check_settings
from jepa_jax.commands.terminal import say, spelled, warn_of_idle_gpu
from jepa_jax.object_stores import Place

if TYPE_CHECKING:
    from jepa_jax.data import FileList
    from jepa_jax.report.standing import Neighbour, Standing
    from jepa_jax.scoring.one_image import ImageScore

# The options of `score` that mean something for one image; the others are of a folder.
OF_ONE = frozenset(
    "source encoder method calibration rank precision batch_size views image_size embedding seed "
    "at_any_cost within map_to patch_map".split()
)
_UNITS = {"width": "pixels", "height": "pixels", "bits_per_pixel": "bits per pixel of a JPEG"}


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the command line says of one image; None where it says nothing.

    `within`: a folder of scores. `map_to`: a PNG to write. `patch_map`: whether to print one; None:
    on a terminal.
    """

    encoder: str | None
    method: str | None
    settings: dict[str, int | float]
    calibration: Place | None
    rank: str | None
    precision: str | None
    embedding: str | None
    image_size: int | None
    views: int | None
    seed: int
    at_any_cost: bool
    within: Place | None
    map_to: Path | None
    patch_map: bool | None


def check_of_one(given: Set[str]) -> None:
    """Raises `ValueError` where an option `given` is of a folder of scores."""
    others = sorted(given - OF_ONE)
    if others:
        names = ", ".join("--" + name.replace("_", "-") for name in others)
        raise ValueError(f"{names}: of a folder of scores, which --out DIR names")


def _open_one(source: str) -> "FileList":
    """One image file; `ValueError` where `source` is another, and so needs `--out`."""
    from jepa_jax.data import FileList, open_source

    opened = open_source(source)
    if not isinstance(opened, FileList) or opened.count() != 1:
        raise ValueError(
            f"--out DIR is needed for {opened}: the folder for its scores (without, one image "
            "file is answered in place)"
        )
    return opened


def score_image(source: str, asked: Asked) -> None:
    """Scores one image and says what there is to say of it; status 1 where it has no score."""
    opened = _open_one(source)
    if asked.map_to is not None:
        from jepa_jax.report.patch_map import check_map_path

        check_map_path(asked.map_to, Path(source))
    asked = _with_those_of(asked)
    if asked.encoder is None:
        raise ValueError("--encoder is needed: 'embedded', a checkpoint folder, or a hub name")
    method, precision = asked.method or "exact", asked.precision or "highest"
    if "auto" in (method, precision):
        raise ValueError("auto is of a folder of scores, which --out DIR names: name one")
    # Imports JAX: above is what needs none.
    from jepa_jax.report.standing import check_within, standing
    from jepa_jax.scoring import Scorer
    from jepa_jax.scoring.one_image import can_have_patches, score_one, settings_of
    from jepa_jax.xla import default_device

    encoder = load(asked.encoder, asked.embedding, asked.image_size)
    check_one_embedding(encoder, {"one image": True})
    warn_of_idle_gpu(default_device().platform)
    scorer = Scorer(
        encoder,
        _estimator(encoder, asked, method, precision),
        precision=precision,  # pyright: ignore[reportArgumentType]
        batch_size=1,
        seed=asked.seed,
        devices=1,
    )
    views = asked.views or 1
    if asked.within is not None:
        check_within(settings_of(scorer, opened, views), asked.within)  # Before the work.
    wants = asked.map_to is not None or asked.patch_map is True
    shown = on_terminal() if asked.patch_map is None else asked.patch_map
    found = score_one(
        scorer,
        source,
        views=views,
        patches=wants or (shown and can_have_patches(scorer, views)),
        at_any_cost=asked.at_any_cost,
    )
    place = None
    if asked.within is not None and found.jepa_score is not None:
        place = standing(
            asked.within, found.jepa_score, embedding=found.embedding, facts=found.facts
        )
    _say(found, scorer, place, asked.within)
    if found.jepa_score is None:
        raise typer.Exit(1)
    if place is not None:
        _say_neighbours(place, source)
    if found.patch_shares is not None and found.seen is not None:
        _show_map(found, source, shown, asked.map_to)


def on_terminal() -> bool:
    """Whether results go to a terminal."""
    import sys

    return sys.stdout.isatty()


def _with_those_of(asked: Asked) -> Asked:
    """What is not said is as in the folder that the score is to stand in."""
    if asked.within is None:
        return asked
    from jepa_jax.estimators.methods import METHODS
    from jepa_jax.store.manifest import read_manifest

    manifest = read_manifest(asked.within)
    settings, facts = manifest["settings"], manifest["facts"]
    encoder, estimator = settings.get("encoder", {}), settings.get("estimator", {})
    theirs: dict[str, Any] = {
        "encoder": facts.get("encoder") or None,
        "embedding": encoder.get("embedding") or None,
        "image_size": encoder.get("image_size"),
        "precision": settings.get("precision") or None,
        "views": settings.get("views"),
    }
    if asked.method is None:
        method = estimator.get("method")
        theirs |= {"method": method, "rank": estimator.get("rank")}
        own = METHODS[method].settings if method in METHODS else ()
        known = {s.name: v for s in own if (v := estimator.get(s.name)) is not None}
        asked = dataclasses.replace(asked, settings=known | asked.settings)
    return dataclasses.replace(
        asked, **{name: value for name, value in theirs.items() if getattr(asked, name) is None}
    )


def _estimator(encoder: Any, asked: Asked, method: str, precision: str) -> Any:
    from jepa_jax.estimators.methods import find_method

    if method == "corrected":
        return _corrected(asked.within)
    find_method(method)
    check_settings(asked.settings, [method])
    calibration = asked.calibration
    if asked.within is not None and calibration is None:
        from jepa_jax.store.folder import CALIBRATION

        own = asked.within / CALIBRATION
        calibration = own if own.is_dir() else None
    return make_estimator(
        method,
        asked.settings,
        encoder=encoder,
        precision=precision,
        calibration=read_calibration(method, calibration),
        rank=asked.rank or "structural",
    )


def _corrected(within: Place | None) -> Any:
    """By the line that the folder's scores were corrected by."""
    from jepa_jax.commands.precision_auto import line_of
    from jepa_jax.estimators import Corrected
    from jepa_jax.store.manifest import read_manifest

    assert within is not None  # No option is called so.
    return Corrected(line_of(read_manifest(within)["settings"]["estimator"].get("line"), within))


def _say(found: "ImageScore", scorer: Any, place: "Standing | None", within: Place | None) -> None:
    """The score, what it was had by, and what is known of the image."""
    if found.jepa_score is None:
        say(f"{spelled(found.id)}: {spelled(found.status)}: {spelled(found.error)}", "red")
        return
    show = lambda text, style="": say(text, style, result=True)
    show(f"{spelled(found.id)}: {found.jepa_score:.2f} nats ({_error(found)})", "bold")
    encoder = scorer.encoder
    show(
        f"{found.method}, rank {found.rank} of K = {encoder.embedding_size}; "
        f"{spelled(encoder.name)} ({encoder.rule}, {encoder.image_size} px), "
        f"precision {scorer.precision}"
    )
    if found.flagged:
        show("flagged: unlike the images that the calibration was fitted on", "yellow")
    if place is not None:
        show(
            f"within {within}: higher than {place.below:.1%} of {place.count} scores, the "
            f"{place.rank}. from the lowest; their median is {place.median:.2f}"
        )
    width, height = found.facts.get("width"), found.facts.get("height")
    show(f"{width} x {height} pixels; " + "; ".join(_facts(found, place)))


def _error(found: "ImageScore") -> str:
    """What is stated of a score's error."""
    error, bound = found.std_error, found.bias_bound
    text = f"standard error {error:.2g}" if error else "no random error"
    return text + (f", bias at most {bound:.2g}" if bound else "")


def _facts(found: "ImageScore", place: "Standing | None") -> list[str]:
    """What is known of the image, and how it compares."""
    texts = []
    for name, value in found.facts.items():
        if name in ("width", "height") or value is None:
            continue
        below = None if place is None else place.facts.get(name)
        more = "" if below is None else f" (above {below:.0%} of them)"
        texts.append(f"{_UNITS.get(name, name)} {value:.3g}{more}")
    return texts


def _say_neighbours(place: "Standing", source: str) -> None:
    show = lambda text, style="": say(text, style, result=True)
    if place.by == "embedding":
        titles = ("nearest typical images (above the median)", "nearest odd ones (lowest tenth)")
        titles = tuple(f"{title}: cosine, score" for title in titles)
    else:
        why = "(no embeddings are stored: by score)"
        titles = (f"next more typical {why}: score", f"next less typical {why}: score")
    for title, neighbours in zip(titles, (place.typical, place.odd), strict=True):
        show(f"\n{title}" if neighbours else f"\n{title}: none", "bold")
        for neighbour in neighbours:
            cosine = "" if neighbour.cosine is None else f"{neighbour.cosine:9.4f}"
            itself = "  (this image)" if _is_same(neighbour, source) else ""
            show(f"{cosine}{neighbour.score:12.2f}  {spelled(neighbour.id)}{itself}")


def _is_same(neighbour: "Neighbour", source: str) -> bool:
    """Whether a row is of this very file; what its path is relative to may be gone."""
    from jepa_jax.data.record import original_name

    try:
        return Path(original_name(neighbour.source)).samefile(source)
    except (OSError, ValueError):
        return False


def _show_map(found: "ImageScore", source: str, shown: bool, path: Path | None) -> None:
    from jepa_jax.report.patch_map import colours, legend, write_map

    shares, seen = found.patch_shares, found.seen
    assert shares is not None
    assert seen is not None
    if shown:
        say("\n" + legend(shares), result=True)
        print_cells([cells(picture, shares.shape) for picture in (seen, colours(shares))], shares)
    if path is not None:
        write_map(path, seen, shares, f"{spelled(Path(source).name)}: {found.jepa_score:.2f} nats")
        say(f"written: {path}")
