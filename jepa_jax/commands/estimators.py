"""The estimator that the options of a command name."""

from typing import Any

from jepa_jax.estimators.methods import METHODS
from jepa_jax.object_stores import Place


def make_estimator(
    name: str,
    settings: dict[str, int | float],
    *,
    encoder: Any,
    precision: str,
    calibration: Any = None,
    rank: str = "structural",
) -> Any:
    """The estimator of the method `name` with those of the `settings` that are its own.

    `calibration`: for a calibrated method. Raises `ValueError` where such a method has none, or
    where a method has no such `rank`.
    """
    method = METHODS[name]
    own = {s.name: settings[s.name] for s in method.settings if s.name in settings}
    if not method.ranks and rank != "structural":
        raise ValueError(f"--method {name} needs --rank structural, got {rank}")
    if method.calibrated:
        defaults = {s.name: s.default for s in method.settings}
        return calibration.sketch(encoder, **(defaults | own), precision=precision)
    return method.make(**own, **({"rank": rank} if method.ranks else {}))


def check_one_embedding(encoder: Any, asked: dict[str, bool]) -> None:
    """Raises `ValueError` where an encoder of several embedding rules meets one of the options
    `asked` for that are of one."""
    for option, given in asked.items():
        if given and encoder.inner:
            raise ValueError(
                f"{option} is of one embedding, a calibration of each its own; got --embedding "
                f"{','.join(map(str, encoder.rules))}: exact, projection, lanczos, hutchinson and "
                "xtrace score several at once"
            )


def read_calibration(name: str, folder: Place | None) -> Any:
    """The calibration of a method that needs one, None for the others."""
    if not METHODS[name].calibrated:
        return None
    if folder is None:
        raise ValueError(
            f"--method {name} needs --calibration DIR, made by `jepa-jax calibrate SOURCE "
            "--encoder E --out DIR`; --method auto calibrates by itself"
        )
    from jepa_jax.calibration import load_calibration

    return load_calibration(folder)
