"""Issue tables: a flag, and a severity from 0 to 1 that orders images as their scores do."""

import numpy as np
import pytest
from tables import row, write_folder

from jepa_jax.report.issues import issue_table
from jepa_jax.store.table import read_scores


def test_flags_and_severity(tmp_path):
    scores = [-50.0, -10.0, None, -30.0, -30.0]
    table = read_scores(
        write_folder(tmp_path / "s", [row(f"{i}", score) for i, score in enumerate(scores)])
    )
    found = issue_table(table, np.array([True, False, False, False, False]))
    assert found["is_jepa_score_issue"].to_pylist() == [True, False, True, False, False]
    assert found["jepa_score_score"].to_pylist() == [0.25, 1.0, 0.0, 0.75, 0.75]
    assert found["jepa_score"].to_pylist() == scores
    with pytest.raises(ValueError, match=r"a mask of 5 rows, got \(1,\)"):
        issue_table(table, np.array([True]))
