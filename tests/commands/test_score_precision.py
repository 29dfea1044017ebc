"""`jepa-jax score --precision auto` and `--correct`: what is chosen, said, kept and refused."""

import json

import numpy as np
import pytest
from command_line import invoke

from jepa_jax.calibration import Compared
from jepa_jax.commands.options import Precision
from jepa_jax.precisions import PRECISIONS
from jepa_jax.store import read_scores

SCORE = ("score", "--encoder", "embedded", "--batch-size", 8)


def manifest(out):
    return json.loads((out / "_manifest.json").read_text())


@pytest.fixture
def no_fast_products(monkeypatch):
    monkeypatch.setattr("jepa_jax.scoring.numerics.cpu_multiplies_bf16", lambda: False)


def test_the_precisions_are_the_library_s():
    assert [precision.value for precision in Precision] == list(PRECISIONS)


@pytest.mark.usefixtures("no_fast_products")
def test_auto_is_float32_where_nothing_is_faster(many, tmp_path):
    out = tmp_path / "scores"
    command = (*SCORE, many, "--out", out, "--precision", "auto", "--correct", 9, "--refine", "9%")
    found = invoke(*command, "--limit", 12)
    assert found.exit_code == 0, found.output
    said = " ".join(found.stderr.split())
    assert "precision highest (auto: no other is faster on this cpu)" in said
    assert manifest(out)["settings"]["precision"] == "highest"
    assert manifest(out)["settings"]["estimator"]["method"] == "exact"
    choice = manifest(out)["facts"]["precision_choice"]
    assert choice["chosen"] == "highest"
    assert choice["reason"] == "no other is faster on this cpu"
    again = invoke(*command, "--limit", 16)
    assert again.exit_code == 0, again.output
    assert "4 ok" in again.stderr
    assert f"as the rows in {out} are" in " ".join(again.stderr.split())
    assert "continued" not in manifest(out)["facts"]


def test_auto_takes_what_was_measured_to_be_fast_and_keeps_it(many, tmp_path, monkeypatch):
    """Times and agreements are made up; the rows are bf16's."""
    x = np.arange(20.0)
    measured = {
        "highest": Compared("highest", 1.0, x, x),
        "bf16": Compared("bf16", 0.25, x + 3, x),
        "bf16x3": Compared("bf16x3", 0.5, x, x),
    }
    monkeypatch.setattr("jepa_jax.calibration.faster_precisions", lambda: ["bf16", "bf16x3"])
    monkeypatch.setattr("jepa_jax.calibration.compare_precisions", lambda *a, **k: measured)
    out = tmp_path / "scores"
    command = (*SCORE, many, "--out", out, "--precision", "auto", "--limit", 8)
    found = invoke(*command)
    assert found.exit_code == 0, found.output
    said = " ".join(found.stderr.split())
    assert "auto: 4.0 times as fast as float32, Spearman 1.00000 on 20 images" in said
    assert manifest(out)["settings"]["precision"] == "bf16"
    choice = manifest(out)["facts"]["precision_choice"]
    assert choice["compared"]["bf16"]["seconds_an_image"] == 0.25
    assert choice["compared"]["bf16"]["bias"] == 3.0
    # Kept, whatever is measured now.
    monkeypatch.setattr("jepa_jax.calibration.faster_precisions", lambda: [])
    again = invoke(*command)
    assert again.exit_code == 0, again.output
    assert "precision bf16" in again.stderr
    assert "nothing left to do" in again.stderr


def test_a_cascade_from_bf16_to_float32(many, tmp_path):
    """All in bf16, corrected; the lowest in float32: what float32 gives, in its place."""
    exact = invoke(*SCORE, many, "--out", tmp_path / "exact", "--limit", 24)
    assert exact.exit_code == 0, exact.output
    out = tmp_path / "cascade"
    command = (
        *SCORE, many, "--out", out, "--precision", "bf16", "--correct", 12, "--refine", "20%",
    )  # fmt: skip
    found = invoke(*command, "--limit", 24)
    assert found.exit_code == 0, found.output
    settings = manifest(out)["settings"]
    assert settings["precision"] == "bf16"
    assert settings["refine"] == {"low": 0.2, "high": 0.0, "precision": "highest"}
    assert settings["estimator"]["method"] == "corrected"
    assert settings["estimator"]["line"]["images"] == 12

    rows = read_scores(out).rows.to_pylist()
    truth = {
        row["id"]: row["jepa_score"] for row in read_scores(tmp_path / "exact").rows.to_pylist()
    }
    refined = [row for row in rows if row["method"] == "exact"]
    others = [row for row in rows if row["method"] == "corrected"]
    assert len(refined) >= 5
    assert len(refined) + len(others) == 24
    for row in refined:
        assert row["jepa_score"] == pytest.approx(truth[row["id"]], abs=1e-4)
        assert row["std_error"] == 0
        assert row["sketch_std_error"] > 0
    for row in others:
        assert abs(row["jepa_score"] - truth[row["id"]]) < 6 * row["std_error"]
    # The lowest by float32 are among those that were refined.
    assert set(sorted(truth, key=truth.get)[:3]) <= {row["id"] for row in refined}

    again = invoke(*command, "--limit", 24)
    assert again.exit_code == 0, again.output
    assert "nothing left to do" in again.stderr  # By the line that it has.
    assert "comparing" not in again.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--correct", 9), "--correct needs a --precision below highest"),
        (("--correct", 9, "--method", "lanczos"), "--correct needs --method exact"),
        (("--correct", 9, "--rank", "clip"), "--correct needs --method exact and --rank"),
        (("--precision", "auto", "--refine", "5%"), "--refine of exact scores needs --correct"),
        (("--precision", "bf16", "--refine", "5%"), "needs a calibrated method"),
        (("--precision", "auto", "--part", "1/2"), "--part cannot have --precision auto"),
        (("--precision", "bf16", "--correct", 9, "--part", "1/2"), "cannot have --correct"),
        (
            ("--precision", "bf16", "--correct", 9, "--store", "spectrum", "--views", 2),
            "needs `views=1`",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_measured(
    many, tmp_path, options, message, monkeypatch
):
    def measured(*args, **kwargs):
        raise AssertionError("measured")

    monkeypatch.setattr("jepa_jax.calibration.compare_precisions", measured)
    found = invoke(*SCORE, many, "--out", tmp_path / "scores", *options)
    assert found.exit_code == 2, found.output
    assert message in " ".join(found.stderr.split())


def test_rows_that_are_not_corrected_stay_so(many, tmp_path):
    out = tmp_path / "scores"
    command = (*SCORE, many, "--out", out, "--precision", "bf16", "--limit", 8)
    assert invoke(*command).exit_code == 0
    found = invoke(*command, "--correct", 9)
    assert found.exit_code == 2
    assert "are not corrected" in " ".join(found.stderr.split())
