"""Encoder + estimator -> scores: in memory, or of a stream into a resumable folder."""

from jepa_jax.scoring.change_of_variables import log_density
from jepa_jax.scoring.scorer import Scorer
from jepa_jax.scoring.scores import Scores
from jepa_jax.scoring.views import ViewSettings, combine_views, random_view

__all__ = [
    "Scorer",
    "Scores",
    "ViewSettings",
    "combine_views",
    "log_density",
    "random_view",
]
