"""Encoder + estimator -> scores: in memory, or of a stream into a resumable folder."""

import importlib
from typing import TYPE_CHECKING, Any

from jepa_jax.scoring.change_of_variables import log_density
from jepa_jax.scoring.profiling import Profile
from jepa_jax.scoring.scorer import Scorer
from jepa_jax.scoring.scores import Scores
from jepa_jax.scoring.views import ViewSettings, combine_views, random_view

if TYPE_CHECKING:
    from jepa_jax.scoring.cluster import Ray as Ray
    from jepa_jax.scoring.one_image import ImageScore as ImageScore
    from jepa_jax.scoring.one_image import score_one as score_one
    from jepa_jax.scoring.refine import Refinement as Refinement
    from jepa_jax.scoring.run import Summary as Summary
    from jepa_jax.scoring.work import Part as Part

# On demand: scores in memory need no tables.
_HOMES = {
    "ImageScore": "one_image",
    "Part": "work",
    "Ray": "cluster",
    "Refinement": "refine",
    "Summary": "run",
    "score_one": "one_image",
}

__all__ = [
    "ImageScore",
    "Part",
    "Profile",
    "Ray",
    "Refinement",
    "Scorer",
    "Scores",
    "Summary",
    "ViewSettings",
    "combine_views",
    "log_density",
    "random_view",
    "score_one",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
