"""Log-volumes of Jacobians: one method a file, one signature for all."""

from jepa_jax.estimators.calibrate import SketchFit, SketchSamples
from jepa_jax.estimators.estimate import Estimate, Estimator
from jepa_jax.estimators.exact import Exact
from jepa_jax.estimators.hutchinson import Hutchinson
from jepa_jax.estimators.lanczos import Lanczos
from jepa_jax.estimators.sketch import Sketch, SketchCalibration
from jepa_jax.estimators.xtrace import XTrace

__all__ = [
    "Estimate",
    "Estimator",
    "Exact",
    "Hutchinson",
    "Lanczos",
    "Sketch",
    "SketchCalibration",
    "SketchFit",
    "SketchSamples",
    "XTrace",
]
