"""Measuring on images of an encoder what methods and precisions are worth: keeping, choosing."""

from jepa_jax.calibration.calibration import Calibration, load_calibration
from jepa_jax.calibration.choosing import Candidate
from jepa_jax.calibration.measuring import calibrate
from jepa_jax.calibration.precision_agreement import (
    Compared,
    choose_precision,
    compare_precisions,
    faster_precisions,
)

__all__ = [
    "Calibration",
    "Candidate",
    "Compared",
    "calibrate",
    "choose_precision",
    "compare_precisions",
    "faster_precisions",
    "load_calibration",
]
