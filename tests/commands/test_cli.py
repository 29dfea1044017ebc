"""The command line as a user meets it."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tables import row, write_folder
from typer.testing import CliRunner

from jepa_jax.cli import app


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep" / "er").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, name in enumerate(["a.png", "deep/b.jpg", "deep/er/c.webp", "d.bmp"]):
        Image.fromarray(rng.integers(0, 256, (30 + i, 28, 3), np.uint8)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (folder / "notes.txt").write_text("not an image")
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_score_then_show(photos, tmp_path):
    out = tmp_path / "scores"
    result = invoke("score", photos, "--encoder", "embedded", "--out", out)
    assert result.exit_code == 0, result.output
    assert "on cpu" in result.stderr
    assert "precision highest" in result.stderr
    assert "4 ok, 1 unreadable" in result.stderr
    rows = pq.read_table(out).to_pylist()
    assert [r["id"] for r in rows] == sorted(r["id"] for r in rows)
    assert {r["id"] for r in rows} == {
        "a.png",
        "broken.jpg",
        "d.bmp",
        "deep/b.jpg",
        "deep/er/c.webp",
    }
    shown = invoke("show", out)
    assert shown.exit_code == 0
    assert "5 rows of" in shown.stdout
    assert "4 ok, 1 unreadable" in shown.stdout
    assert "broken.jpg: unreadable" in shown.stdout
    lowest = min((r for r in rows if r["jepa_score"]), key=lambda r: r["jepa_score"])
    after = shown.stdout.split("lowest")[1].splitlines()[1]
    assert after.split() == [f"{lowest['jepa_score']:.2f}", lowest["id"]]

    again = invoke("score", photos, "--encoder", "embedded", "--out", out)
    assert again.exit_code == 0
    assert "nothing left to do" in again.stderr
    assert "5 rows were there" in again.stderr
    changed = invoke("score", photos, "--encoder", "embedded", "--out", out, "--seed", 4)
    assert changed.exit_code == 2
    assert "seed: 0 before, 4 now" in changed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--encoder", "embedded"], "no file or folder 'nowhere'"),
        (["{photos}", "--encoder", "dinov9"], "neither a folder, nor 'embedded'"),
        (["{photos}", "--encoder", "embedded", "--precision", "tf32"], "not available on cpu"),
        (["{photos}", "--encoder", "embedded", "--image-size", "30"], "patch size 7"),
        (
            ["{photos}", "--encoder", "embedded", "--embedding", "mode"],
            "`embedding` must be one of",
        ),
        (["{photos}", "--encoder", "embedded", "--store", "pixels"], "`store` must be of"),
        (["{photos}", "--encoder", "embedded", "--method", "guess"], "guess"),
        (["{photos}", "--encoder", "embedded", "--views", "0"], "greater than or equal to 1"),
    ],
)
def test_mistakes_are_one_message_and_status_2(photos, tmp_path, arguments, message):
    arguments = [a.format(photos=photos) for a in arguments]
    result = invoke("score", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_folder_without_one_readable_image_is_a_failure(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").write_bytes(b"")
    result = invoke("score", tmp_path / "in", "--encoder", "embedded", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 unreadable" in result.stderr


def test_show_what_is_no_folder_of_scores(tmp_path):
    result = invoke("show", tmp_path)
    assert result.exit_code == 2
    assert "not a folder of scores" in result.stderr


def test_encoders_lists_what_can_be_loaded():
    result = invoke("encoders")
    assert result.exit_code == 0
    line = next(row for row in result.stdout.splitlines() if "facebook/dinov2-small" in row)
    assert line.split()[:6] == ["facebook/dinov2-small", "DINOv2", "cls", "384", "14", "224"]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    for i in range(48):
        pixels = np.clip(rng.normal(128, 2 * i + 4, (28, 28, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


def test_calibrate_then_score_by_sketch_and_refine(many, tmp_path):
    calibration, out = tmp_path / "calibration", tmp_path / "scores"
    made = invoke("calibrate", many, "--encoder", "embedded", "--out", calibration, "--images", 32)
    assert made.exit_code == 0, made.output
    assert "32 images, 0 passed over" in made.stderr
    assert {line.split()[0] for line in made.stderr.splitlines()} >= {"exact", "sketch,", "lanczos"}
    common = ("score", many, "--encoder", "embedded", "--out", out)
    result = invoke(
        *common, "--method", "sketch", "--calibration", calibration, "--cotangents", 8,
        "--refine", "10%",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == 48
    assert sum(r["method"] == "exact" for r in rows) >= 5
    assert f"{sum(r['method'] == 'exact' for r in rows)} scored again exactly" in result.stderr
    shown = invoke("show", out)
    exact = sum(r["method"] == "exact" for r in rows)
    assert f"scores: {exact} exact, {48 - exact} sketch; " in shown.stdout
    other = invoke(
        "score", many, "--encoder", "embedded", "--embedding", "mean", "--out", tmp_path / "x",
        "--method", "sketch", "--calibration", calibration,
    )  # fmt: skip
    assert other.exit_code == 2
    assert "embedding: 'cls' in the calibration, 'mean' now" in other.stderr
    assert not (tmp_path / "x").exists()


def test_auto_chooses_says_why_and_is_continued(many, tmp_path, monkeypatch):
    # The choice is by time, and times are not for tests.
    times = {"seconds_an_exact_image": 1.0, "seconds_of_covariates": 0.0, "error_of_seconds": 0.0}
    monkeypatch.setattr("jepa_jax.calibration.measuring._Measuring.times", lambda self: times)
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
        (("--precision", "tf32"), "not available on cpu"),
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


def test_a_missing_file_is_got_by_a_retry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = Image.new("RGB", (28, 28), (200, 30, 90))
    photo.save("a.png")
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "list.txt").write_text("a.png\nb.png\nc.png\n")
    command = ("score", "list.txt", "--encoder", "embedded", "--out", "out")
    first = invoke(*command)
    assert first.exit_code == 0, first.output
    assert "1 ok, 1 unavailable, 1 unreadable" in first.stderr
    assert "1 images could not be got, for a reason that may pass: --retry failed" in first.stderr
    photo.save("b.png")
    assert "nothing left to do" in invoke(*command).stderr
    again = invoke(*command, "--retry", "failed")
    assert again.exit_code == 0, again.output
    assert "1 ok in" in again.stderr
    assert "--retry" not in again.stderr
    status = [row["status"] for row in pq.read_table("out").to_pylist()]
    assert status == ["ok", "ok", "unreadable"]


def test_random_methods_by_hand(many, tmp_path):
    for method, settings in (("lanczos", ("--steps", 6)), ("hutchinson", ("--degree", 10))):
        out = tmp_path / method
        result = invoke(
            "score", many, "--encoder", "embedded", "--out", out, "--limit", 3,
            "--method", method, "--probes", 2, *settings,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        rows = pq.read_table(out).to_pylist()
        assert {r["method"] for r in rows} == {method}
        assert all(r["std_error"] > 0 for r in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "sketch"), "needs --calibration DIR"),
        (("--refine", "5%"), "`refine` needs a calibrated method"),
        (("--method", "sketch", "--calibration", "nowhere"), "not a calibration"),
        (("--method", "sketch", "--refine", "lots"), "--refine must be a share such as '5%'"),
        (("--method", "auto", "--rank", "clip"), "needs --rank structural, got clip"),
    ],
)
def test_method_errors(many, tmp_path, arguments, message):
    result = invoke("score", many, "--encoder", "embedded", "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
