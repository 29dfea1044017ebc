"""Scores as the issue tables of cleanvision and cleanlab: a flag and a severity for every image."""

import numpy as np
import pyarrow as pa

from jepa_jax.store.table import ScoreTable

# The name of the issue, of which cleanvision and cleanlab make their columns.
ISSUE = "jepa_score"


def issue_table(table: ScoreTable, chosen: np.ndarray) -> pa.Table:
    """One row an image, as `Imagelab.issues` and `Datalab.get_issues` have them.

    `id` and `source`; `is_jepa_score_issue`, whether it is `chosen` (a mask) or has no score;
    `jepa_score_score`, the severity that these tables ask for, from 0 (worst) to 1: the share of
    scores that are at most its own, 0 without one; `jepa_score`, nats, empty without one.

    Raises `ValueError` on a mask of another length.

    >>> from pathlib import Path
    >>> from jepa_jax.report import ScoreTable, issue_table
    >>> rows = {"id": ["a", "b"], "source": ["a", "b"], "status": ["ok", "ok"]}
    >>> table = ScoreTable(Path("scores"), {}, {}, pa.table(rows | {"jepa_score": [-90.0, -210.0]}))
    >>> issue_table(table, np.array([False, True])).to_pylist()[1]["jepa_score_score"]
    0.5
    """
    chosen = np.asarray(chosen, bool)
    if chosen.shape != (len(table),):
        raise ValueError(f"`chosen` must be a mask of {len(table)} rows, got {chosen.shape}")
    scores = table.scores
    scored = np.isfinite(scores)
    ordered = np.sort(scores[scored])
    share = np.zeros(len(table))
    share[scored] = np.searchsorted(ordered, scores[scored], side="right") / max(1, len(ordered))
    return pa.table(
        {
            "id": table.rows["id"],
            "source": table.rows["source"],
            f"is_{ISSUE}_issue": chosen | ~scored,
            f"{ISSUE}_score": share,
            ISSUE: pa.array(scores, mask=~scored),
        }
    )
