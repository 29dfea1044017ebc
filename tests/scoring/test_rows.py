"""What a row says of the scores of its views: all that the method states, and why there is none."""

import numpy as np
import pytest
from PIL import Image

from jepa_jax import Scores
from jepa_jax.data import Record
from jepa_jax.scoring.rows import Prepared, make_row

RECORD = Record("a.png", "folder", lambda: Image.new("RGB", (4, 4)))


def row_of(scores, bounds, ranks, flagged=None):
    count = len(scores)
    made = Scores(
        jepa_score=np.float32(scores),
        std_error=np.full(count, 0.5, np.float32),
        bias_bound=np.float32(bounds),
        rank=np.array(ranks),
        embedding=np.zeros((count, 64), np.float32),
        flagged=None if flagged is None else np.array(flagged),
    )
    return make_row(Prepared(RECORD, []), made, method="lanczos", store=())


@pytest.mark.parametrize(
    ("bounds", "said"),
    [([7.0], 7.0), ([0.0], 0.0), ([np.nan], None), ([7.0, 9.0], 9.0), ([7.0, np.nan], None)],
)
def test_the_bound_is_that_of_the_views_or_none(bounds, said):
    row = row_of([-90.0] * len(bounds), bounds, [62] * len(bounds))
    assert (row["status"], row["jepa_score"], row["bias_bound"]) == ("ok", -90.0, said)


def test_a_deficient_jacobian_has_a_rank_and_no_numbers():
    row = row_of([-90.0, -np.inf], [7.0, np.nan], [62, 60])
    assert row["status"] == "deficient"
    assert "no more than 60 of its directions are above that, K = 64" in row["error"]
    assert row["rank"] == 60
    assert row["jepa_score"] is row["std_error"] is row["bias_bound"] is None
