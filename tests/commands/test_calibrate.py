"""`jepa-jax calibrate`, and what its folder is for."""

import pyarrow.parquet as pq
from command_line import invoke


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
