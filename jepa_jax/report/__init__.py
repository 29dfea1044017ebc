"""What people look at and act on: reads result tables and images, never models."""

from jepa_jax.report.choice import Choice, Selected, choose
from jepa_jax.report.conditional import conditional_score
from jepa_jax.report.export import write_selection
from jepa_jax.report.fiftyone_dataset import write_fiftyone
from jepa_jax.report.fitted_threshold import fit_outside
from jepa_jax.report.issues import issue_table
from jepa_jax.report.labels import read_labels
from jepa_jax.report.near_duplicates import near_identical
from jepa_jax.report.selection import (
    Amount,
    Between,
    Bottom,
    Outside,
    Top,
    TwoSided,
    select,
)
from jepa_jax.report.standing import Neighbour, Standing, standing
from jepa_jax.store.summary import ScoreSummary, summarize
from jepa_jax.store.table import ScoreTable, read_scores

__all__ = [
    "Amount",
    "Between",
    "Bottom",
    "Choice",
    "Neighbour",
    "Outside",
    "ScoreSummary",
    "ScoreTable",
    "Selected",
    "Standing",
    "Top",
    "TwoSided",
    "choose",
    "conditional_score",
    "fit_outside",
    "issue_table",
    "near_identical",
    "read_labels",
    "read_scores",
    "select",
    "standing",
    "summarize",
    "write_fiftyone",
    "write_selection",
]
