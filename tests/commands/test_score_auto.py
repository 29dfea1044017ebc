"""`jepa-jax score --method auto`: what it chooses, says, keeps and refuses."""

import dataclasses

import pytest
from command_line import invoke
from tables import row, write_folder


def test_auto_chooses_says_why_and_is_continued(many, tmp_path, monkeypatch):
    # The choice is by time, and times are not for tests.
    times = {"seconds_an_exact_image": 1.0, "seconds_of_covariates": 0.0, "error_of_seconds": 0.0}
    monkeypatch.setattr("jepa_jax.calibration.measuring.medians", lambda found: times)
    out = tmp_path / "scores"
    command = (
        "score", many, "--encoder", "embedded", "--out", out, "--method", "auto",
        "--calibration-images", 20, "--target-spearman", 0.9,
    )  # fmt: skip
    first = invoke(*command, "--limit", 44)
    assert first.exit_code == 0, first.output
    assert "auto: sketch, " in first.stderr
    assert "Spearman" in first.stderr
    again = invoke(*command, "--limit", 44)
    assert again.exit_code == 0, again.output
    assert "nothing left to do" in again.stderr
    grown = invoke(*command)  # Of a source that has grown: with the calibration that it has.
    assert grown.exit_code == 0, grown.output
    assert "4 ok" in grown.stderr
    other = invoke(*command, "--calibration-images", 17)
    assert other.exit_code == 2
    assert "calibration_images: 20 before, 17 now" in other.stderr


def test_auto_with_refine_chooses_what_can_be_refined(many, tmp_path, monkeypatch):
    """Here Lanczos would be the fastest by far."""
    from jepa_jax.calibration import calibration as module

    def fastest_first(*arguments, **settings):
        found = candidates(*arguments, **settings)
        fast = lambda c: dataclasses.replace(c, seconds=1e-9, cost=0.1, spearman=1.0)
        return [fast(c) if c.name == "lanczos" else c for c in found]

    candidates = module.candidates
    monkeypatch.setattr(module, "candidates", fastest_first)
    command = (
        "score", many, "--encoder", "embedded", "--method", "auto", "--calibration-images", 20,
        "--target-spearman", 0.9,
    )  # fmt: skip
    refined = invoke(*command, "--out", tmp_path / "refined", "--refine", "10%")
    assert refined.exit_code == 0, refined.output
    assert "of those that can be refined" in refined.stderr
    assert "auto: lanczos" not in refined.stderr
    plain = invoke(*command, "--out", tmp_path / "plain", "--limit", 41)
    assert "auto: lanczos" in plain.stderr
    assert plain.exit_code == 0, plain.output


def test_auto_continues_rows_of_an_exact_method_as_such(many, tmp_path):
    command = (
        "score", many, "--encoder", "embedded", "--method", "auto", "--calibration-images", 20,
        "--out", tmp_path / "out",
    )  # fmt: skip
    few = invoke(*command, "--limit", 5)
    assert "auto: 5 images are too few" in few.stderr
    more = invoke(*command)
    assert more.exit_code == 0, more.output
    assert "auto: exact, as the rows in" in more.stderr
    assert "5 rows were there" in more.stderr


def no_calibration(*arguments, **settings):
    raise AssertionError("the calibration was begun")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--store", "pixels"), "`store` must be of"),
        (
            ("--store", "spectrum", "--views", 1),
            "'spectrum' needs an exact method, got one that is still to be",
        ),
        (("--store", "embedding", "--views", 2), "needs `views=1`"),
        (("--target-spearman", 1.5), "`target_spearman` must be in (0, 1], got 1.5"),
        (("--processes", 4096), "`processes` must be at most"),
        (("--precision", "fp8"), "fp8"),
        (("--out", "{taken}"), "holds other things"),
        (("--out", "{scores}"), "views: 1 before, 2 now"),
    ],
)
def test_auto_refuses_before_it_calibrates(many, tmp_path, monkeypatch, arguments, message):
    for module in ("measuring.calibrate", "measuring.calibrate_for_run"):
        monkeypatch.setattr(f"jepa_jax.calibration.{module}", no_calibration)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.tex").touch()
    scores = write_folder(tmp_path / "scores", [row("a.png", 1.0)])
    result = invoke(
        "score", many, "--encoder", "embedded", "--method", "auto", "--calibration-images", 20,
        "--out", tmp_path / "out", "--views", 2,
        *(str(a).format(taken=taken, scores=scores) for a in arguments),
    )  # fmt: skip
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
