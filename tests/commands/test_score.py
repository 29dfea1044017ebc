"""`jepa-jax score` as a user meets it; `--method auto` is in test_score_auto.py."""

import pyarrow.parquet as pq
import pytest
from command_line import invoke
from PIL import Image

from jepa_jax.commands import options


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
        (["{photos}", "--encoder", "embedded", "--precision", "fp8"], "fp8"),
        (["{photos}", "--encoder", "embedded", "--image-size", "30"], "patch size 7"),
        (
            ["{photos}", "--encoder", "embedded", "--embedding", "mode"],
            "`embedding` must be one of",
        ),
        (["{photos}", "--encoder", "embedded", "--store", "pixels"], "`store` must be of"),
        (["{photos}", "--encoder", "embedded", "--method", "guess"], "guess"),
        (["{photos}", "--encoder", "embedded", "--views", "0"], "greater than or equal to 1"),
        (["{photos}", "--encoder", "embedded", "--part", "4/3"], "`part` must be from 1/3 to 3/3"),
        (
            ["{photos}", "--encoder", "embedded", "--part", "1/3", "--method", "auto"],
            "--part with --method auto needs --calibration",
        ),
        (
            ["{photos}", "--encoder", "embedded", "--workers", "3", "--address", "auto"],
            "--address, --workers: of --engine ray, not of local",
        ),
        (["{photos}", "--encoder", "embedded", "--devices", "3"], "`devices` must be from 0 to 1"),
    ],
)
def test_mistakes_are_one_message_and_status_2(photos, tmp_path, arguments, message):
    arguments = [a.format(photos=photos) for a in arguments]
    result = invoke("score", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_an_engine_whose_library_is_not_there_says_how_to_get_it(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(options.importlib.util, "find_spec", lambda name: None)
    out = tmp_path / "out"
    result = invoke("score", photos, "--encoder", "embedded", "--engine", "ray", "--out", out)
    assert result.exit_code == 2
    assert "--engine ray needs Ray: pip install 'jepa-jax[ray]'" in result.stderr
    assert not out.exists()


def test_a_folder_without_one_readable_image_is_a_failure(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").write_bytes(b"")
    result = invoke("score", tmp_path / "in", "--encoder", "embedded", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 unreadable" in result.stderr


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
