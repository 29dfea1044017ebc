"""Calibrating the sketch on images of an encoder: measuring, keeping, choosing."""

from jepa_jax.calibration.calibration import Calibration, load_calibration
from jepa_jax.calibration.choosing import Candidate
from jepa_jax.calibration.measuring import calibrate

__all__ = ["Calibration", "Candidate", "calibrate", "load_calibration"]
