"""Where the time of a run goes: stages, their sums, and the parts of a batch."""

import json
import time

import numpy as np
import pytest
from command_line import invoke
from streams import records

from jepa_jax.scoring import Profile
from jepa_jax.scoring.profiling import parts_of_a_batch
from jepa_jax.scoring.stages import READING, ROW, stage


def test_stages_of_a_run_add_up_to_its_time(scorer, tmp_path):
    with Profile(tmp_path / "profile") as profile:
        scorer.run(records(30), tmp_path / "scores", workers=2, on_row=lambda row: time.sleep(0.01))
    assert profile.rows == 26  # The first batch, of 4, begins it.
    main = {"waiting for images", "starting batches", "waiting for scores", "rows and writing"}
    main.add("the last write")
    assert set(profile.seconds) == main | {"reading and decoding", "preprocessing"}
    assert profile.seconds[ROW] >= 26 * 0.01
    of_main = sum(profile.seconds[name] for name in main)
    assert of_main <= profile.wall
    assert list((tmp_path / "profile" / "trace").rglob("*.xplane.pb"))

    shown = profile.write(scorer)
    assert shown == (tmp_path / "profile" / "stages.md").read_text().strip()
    assert "| rows and writing | main thread | 26 |" in shown
    assert "images/s need" in shown
    found = json.loads((tmp_path / "profile" / "stages.json").read_text())
    assert found["rows"] == 26
    batch = found["batch"]
    assert batch["images"] == 4
    assert 0 < batch["products"] < 3 * batch["whole"]


def test_a_stage_outside_of_a_profile_is_nothing(tmp_path):
    with Profile(tmp_path, trace=False) as profile:
        pass
    with stage(READING):
        pass
    assert profile.seconds == {}
    assert profile.wall == 0
    with Profile(tmp_path, trace=False), pytest.raises(RuntimeError, match="one profile at a time"):
        Profile(tmp_path).__enter__()
    with Profile(tmp_path, trace=False):
        pass  # The refused one has left nothing behind.


def test_parts_are_of_one_process(scorer):
    parts = parts_of_a_batch(scorer)
    assert parts.rest >= 0
    assert np.isfinite(parts.whole)


def test_an_engine_elsewhere_is_refused(tmp_path):
    pytest.importorskip("ray")
    result = invoke(
        *("score", tmp_path, "--encoder", "embedded", "--out", tmp_path / "s"),
        *("--engine", "ray", "--profile", tmp_path / "p"),
    )
    assert result.exit_code == 2
    assert "--profile is of --engine local" in result.output
