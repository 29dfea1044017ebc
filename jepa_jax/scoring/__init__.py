"""Encoder + estimator -> scores: in memory, or of a stream into a resumable folder."""

from typing import TYPE_CHECKING, Any

from jepa_jax.scoring.change_of_variables import log_density
from jepa_jax.scoring.profiling import Profile
from jepa_jax.scoring.scorer import Scorer
from jepa_jax.scoring.scores import Scores
from jepa_jax.scoring.views import ViewSettings, combine_views, random_view

if TYPE_CHECKING:
    from jepa_jax.scoring.cluster import Ray as Ray

__all__ = [
    "Profile",
    "Ray",
    "Scorer",
    "Scores",
    "ViewSettings",
    "combine_views",
    "log_density",
    "random_view",
]


def __getattr__(name: str) -> Any:
    if name != "Ray":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # On demand: scores in memory need no tables.
    from jepa_jax.scoring.cluster import Ray

    return Ray
