"""`--precision auto` and `--correct`: which precision a run has, why, and its correction."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jepa_jax.commands.terminal import Progressing, say
from jepa_jax.object_stores import Place


@dataclasses.dataclass(frozen=True)
class Settled:
    """The precision of a run; `reason`: why, where it was not asked for by name; `line`: of the
    correction to float32's scores; `facts`: for the manifest."""

    precision: Any
    reason: str = ""
    line: Any = None
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


# So many images are compared where --correct does not say.
IMAGES = 32


def check_asked(
    auto: bool, correct: int | None, method: str, rank: str, refined: bool, apart: str
) -> None:
    """Raises `ValueError` on options that do not go together. `auto`: whether a precision is to be
    measured; `apart`: the option by which the work is done in several places."""
    if correct is not None and (method, rank) != ("exact", "structural"):
        raise ValueError("--correct needs --method exact and --rank structural")
    if auto and refined and method == "exact" and correct is None:
        raise ValueError("--refine of exact scores needs --correct, with --precision auto")
    if apart and (auto or correct is not None):
        option = "--precision auto" if auto else "--correct"
        raise ValueError(
            f"{apart} cannot have {option}, which measures in each place: name a --precision"
        )


def settle(
    asked: str,
    correct: int | None,
    *,
    encoder: Any,
    source: Any,
    out: Place,
    calibration: Place | None,
    target: float,
    batch_size: int | None,
    limit: int | None,
    at_any_cost: bool,
    stop: Any,
    check: Callable[[Any], object],
) -> Settled:
    """The precision that `asked` names, or the one that the folder's rows have, a calibration was
    made for, or is the fastest that agrees with float32.

    `check(precision)` raises what the run would, before anything is measured.
    """
    from jepa_jax.store.folder import shard_paths
    from jepa_jax.store.manifest import read_manifest

    if shard_paths(out):
        return _as_before(asked, correct, read_manifest(out)["settings"], out)
    if asked == "auto" and calibration is not None:
        from jepa_jax.calibration import load_calibration

        found = load_calibration(calibration).locked["precision"]
        return Settled(found, "the calibration's")
    if asked == "auto":
        from jepa_jax.calibration import faster_precisions
        from jepa_jax.xla import default_device

        candidates = faster_precisions()
        if not candidates:
            reason = f"no other is faster on this {default_device().platform}"
            return Settled("highest", reason, facts=_facts(asked, "highest", reason))
    elif correct is None:
        return Settled(asked)
    elif asked == "highest":
        raise ValueError("--correct needs a --precision below highest, which it is a correction to")
    else:
        candidates = [asked]
    check(candidates[-1])
    return _measured(
        asked, correct, candidates, encoder, source, target, batch_size, limit, at_any_cost, stop
    )


def _as_before(asked: str, correct: int | None, before: dict, out: Place) -> Settled:
    """What the rows have that are there."""
    had = before.get("precision", "highest")
    precision = had if asked == "auto" else asked
    reason = f"as the rows in {out} are" if asked == "auto" else ""
    line = before.get("estimator", {}).get("line")
    if correct is None or (asked == "auto" and had == "highest"):
        return Settled(precision, reason)
    if line is None:
        raise ValueError(
            f"the rows in {out} are not corrected: give another output folder, or no --correct"
        )
    return Settled(precision, reason, line_of(line, out))


def line_of(written: Any, out: Place) -> Any:
    """The line that a manifest has."""
    import jax.numpy as jnp

    from jepa_jax.estimators import Line

    try:
        names = [field.name for field in dataclasses.fields(Line) if field.name != "images"]
        return Line(
            **{n: jnp.asarray(float(written[n]), jnp.float32) for n in names},
            images=int(written["images"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the manifest of {out} has no line that can be read: {written!r}"
        ) from error


def _measured(
    asked: str,
    correct: int | None,
    candidates: list[Any],
    encoder: Any,
    source: Any,
    target: float,
    batch_size: int | None,
    limit: int | None,
    at_any_cost: bool,
    stop: Any,
) -> Settled:
    from jepa_jax.calibration import choose_precision, compare_precisions

    with Progressing("comparing precisions", stop) as progress:
        found = compare_precisions(
            encoder,
            source,
            candidates,
            images=correct or IMAGES,
            batch_size=batch_size,
            limit=limit,
            at_any_cost=at_any_cost,
            on_start=progress.start,
            on_image=progress.advance,
        )
    exact = found["highest"]
    for c in found.values():
        say(
            f"{c.precision}: {1 / c.seconds:.3g} images/s, Spearman with float32 "
            f"{c.spearman:.5f}, {c.bias:+.2f} nats (sd {c.sd:.2f})",
            "dim",
        )
    chosen, reason = found[candidates[0]], ""
    if asked == "auto":
        chosen = choose_precision(list(found.values()), target)
        faster, images = exact.seconds / chosen.seconds, len(exact.exact)
        reason = (
            f"{faster:.1f} times as fast as float32, Spearman {chosen.spearman:.5f} on {images} "
            f"images, where {target} is asked for"
            if chosen.precision != "highest"
            else f"none is faster with a Spearman of {target} on {images} images"
        )
    line = chosen.line() if correct and chosen.precision != "highest" else None
    facts = _facts(asked, chosen.precision, reason)
    facts["precision_choice"] |= {
        "target_agreement": target,
        "images": len(exact.exact),
        "compared": {
            name: {
                "seconds_an_image": c.seconds,
                "spearman": c.spearman,
                "bias": c.bias,
                "sd": c.sd,
            }
            for name, c in found.items()
        },
    }
    return Settled(chosen.precision, reason, line, facts)


def _facts(asked: str, chosen: str, reason: str) -> dict[str, Any]:
    return {"precision_choice": {"asked": asked, "chosen": chosen, "reason": reason}}
