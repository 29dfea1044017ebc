"""Checks of the settings that estimators share."""

from typing import Any, get_args


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Raises `ValueError` unless `value` is one of a `Literal`'s."""
    if value not in get_args(choices):
        raise ValueError(f"`{name}` must be one of {get_args(choices)}, got {value!r}")


def check_at_least(name: str, value: int, least: int) -> None:
    """Raises `ValueError` unless `value` is a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"`{name}` must be a whole number of at least {least}, got {value!r}")


def check_positive(name: str, value: float) -> None:
    """Raises `ValueError` unless `value` is positive."""
    if not value > 0:
        raise ValueError(f"`{name}` must be positive, got {value}")


def check_tolerance(tolerance: float | None, probes: int, most: int) -> None:
    """Raises `ValueError` on a tolerance that is not positive, or without two probes and as many at
    most as a round has."""
    if tolerance is None:
        return
    check_positive("tolerance", tolerance)
    if probes < 2:
        raise ValueError(
            f"`tolerance` needs `probes` of at least 2, got {probes}: one has no error"
        )
    if most < probes:
        raise ValueError(f"`most_probes` must be at least `probes`, {probes}, got {most}")


def check_fraction(name: str, value: float) -> None:
    """Raises `ValueError` unless `value` is between 0 and 1, neither included."""
    if not 0 < value < 1:
        raise ValueError(f"`{name}` must be between 0 and 1, got {value}")
