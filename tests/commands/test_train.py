"""`jepa-jax train` as a user meets it."""

import struct

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import invoke

from jepa_jax.training.config import Training, read_model
from jepa_jax.training.tensorboard import writing

SMALL = {"optimizer.steps": 6, "optimizer.batch": 16, "encoder.width": 8}


pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_the_command_trains_continues_and_refuses_another_configuration(tmp_path):
    out = tmp_path / "out"
    changes = [f"--set={name}={value}" for name, value in SMALL.items()]
    common = ("train", "plane-sphere", "--out", out, "--report-every", 2, *changes)
    logs = tmp_path / "logs"
    result = invoke(*common, "--tensorboard", logs)
    assert result.exit_code == 0, result.output
    assert "step 6/6" in result.stderr
    rows = pq.read_table(out / "losses.parquet").to_pylist()
    assert [row["step"] for row in rows] == [2, 4, 6]
    (events,) = logs.iterdir()
    assert scalars(events) == pytest.approx(
        {(n, row["step"]): v for row in rows for n, v in row.items() if n != "step"}, rel=1e-6
    )
    assert {"total", "invariance", "uniformity", "learning_rate", "seconds"} <= rows[0].keys()
    model = read_model(out / "encoder", Training.read("plane-sphere", SMALL))
    x = jnp.array([0.5, -1.0], jnp.float32)
    np.testing.assert_allclose(np.linalg.norm(model(x)), 1, rtol=1e-6)

    again = invoke(*common)
    assert again.exit_code == 0, again.output
    assert pq.read_table(out / "losses.parquet").to_pylist() == rows
    inside = invoke(*common, "--tensorboard", out / "logs")
    assert (inside.exit_code, "the training's own folder" in inside.stderr) == (2, True)
    other = invoke(*common, "--set", "seed=3")
    assert other.exit_code == 2
    assert "another configuration; seed differ" in other.stderr
    with pytest.raises(ValueError, match="holds another encoder"):
        read_model(out / "encoder", Training.read("plane-sphere", SMALL | {"encoder.width": 9}))


def test_an_unknown_configuration_is_a_mistake():
    result = invoke("train", "nothing", "--out", "x")
    assert result.exit_code == 2
    assert "plane-sphere" in result.stderr


def test_events_of_a_training_that_goes_on(tmp_path):
    """A new folder gets the rows before, too; an old one is told which of its rows are void."""
    rows = [{"step": step, "total": step / 2} for step in (2, 4, 6)]
    with writing(tmp_path / "new", rows[:2], 4) as write:
        write(rows[2])
    (first,) = (tmp_path / "new").iterdir()
    assert scalars(first) == {("total", 2): 1.0, ("total", 4): 2.0, ("total", 6): 3.0}
    with writing(tmp_path / "new", rows[:2], 4) as write:
        write({"step": 6, "total": 5.0})
    (second,) = set((tmp_path / "new").iterdir()) - {first}
    assert scalars(second) == {("total", 6): 5.0}
    (restart,) = [e.step for e in events_of(second) if e.HasField("session_log")]
    assert restart == 5


def events_of(path):
    """The events of a file of TFRecords: length, its checksum, the event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def scalars(path):
    return {
        (value.tag, event.step): value.simple_value
        for event in events_of(path)
        for value in event.summary.value
    }
