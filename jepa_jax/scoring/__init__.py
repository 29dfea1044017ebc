"""Encoder + estimator -> scores: in memory, or of a stream into a resumable folder."""

from jepa_jax.scoring.calibration import Calibration, calibrate, load_calibration
from jepa_jax.scoring.density import log_density
from jepa_jax.scoring.scorer import Scorer, Scores
from jepa_jax.scoring.views import ViewSettings, combine_views, random_view

__all__ = [
    "Calibration",
    "Scorer",
    "Scores",
    "ViewSettings",
    "calibrate",
    "combine_views",
    "load_calibration",
    "log_density",
    "random_view",
]
