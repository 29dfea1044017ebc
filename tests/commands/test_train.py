"""`jepa-jax train` as a user meets it."""

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import invoke

from jepa_jax.training.config import Training, read_model

SMALL = {"optimizer.steps": 6, "optimizer.batch": 16, "encoder.width": 8}


pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_the_command_trains_continues_and_refuses_another_configuration(tmp_path):
    out = tmp_path / "out"
    changes = [f"--set={name}={value}" for name, value in SMALL.items()]
    common = ("train", "plane-sphere", "--out", out, "--report-every", 2, *changes)
    result = invoke(*common)
    assert result.exit_code == 0, result.output
    assert "step 6/6" in result.stderr
    rows = pq.read_table(out / "losses.parquet").to_pylist()
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert {"total", "invariance", "uniformity", "learning_rate", "seconds"} <= rows[0].keys()
    model = read_model(out / "encoder", Training.read("plane-sphere", SMALL))
    x = jnp.array([0.5, -1.0], jnp.float32)
    np.testing.assert_allclose(np.linalg.norm(model(x)), 1, rtol=1e-6)

    again = invoke(*common)
    assert again.exit_code == 0, again.output
    assert pq.read_table(out / "losses.parquet").to_pylist() == rows
    other = invoke(*common, "--set", "seed=3")
    assert other.exit_code == 2
    assert "another configuration; seed differ" in other.stderr
    with pytest.raises(ValueError, match="holds another encoder"):
        read_model(out / "encoder", Training.read("plane-sphere", SMALL | {"encoder.width": 9}))


def test_an_unknown_configuration_is_a_mistake():
    result = invoke("train", "nothing", "--out", "x")
    assert result.exit_code == 2
    assert "plane-sphere" in result.stderr
