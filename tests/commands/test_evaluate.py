"""`jepa-jax evaluate` as a user meets it, on small images and the embedded encoder."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import invoke
from PIL import Image
from sklearn.metrics import roc_auc_score

SIZES = {"reference": 30, "inliers": 20, "stripes": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Blobs on black as reference and inliers, stripes as outliers; all images different."""
    root = tmp_path_factory.mktemp("evaluate")
    rng = np.random.default_rng(0)
    for name, count in SIZES.items():
        (root / name).mkdir()
        for i in range(count):
            pixels = np.zeros((28, 28), np.uint8)
            if name == "stripes":
                pixels[:, rng.integers(0, 3) :: rng.integers(2, 6)] = rng.integers(90, 256)
            else:
                y, x = rng.integers(5, 13, 2)
                pixels[y : y + rng.integers(4, 9), x : x + rng.integers(4, 9)] = 200
            pixels[0, 0] = i  # No two alike.
            Image.fromarray(pixels).save(root / name / f"{i:02d}.png")
    (root / "stripes" / "broken.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def evaluated(folder):
    """One run over sources: its result and its folder."""
    return run(folder, folder / "out"), folder / "out"


def run(root, out, *options, **sets):
    sets = {"reference": root / "reference", "inliers": root / "inliers"} | sets
    outliers = sets.pop("outliers", [root / "stripes"])
    given = [part for name, path in sets.items() for part in (f"--{name}", path)]
    given += [part for path in outliers for part in ("--outliers", path)]
    options = options or ("--encoder", "embedded")
    return invoke("evaluate", *given, "--out", out, "--no-flow", "--neighbours", "1,5", *options)


def test_a_run_and_what_it_writes(evaluated):
    result, out = evaluated
    assert result.exit_code == 0, result.output
    assert "30 reference, 20 inliers, 12 stripes" in result.stdout
    assert "without a score in stripes: 1 unreadable" in result.stderr
    assert (out / "evaluation.png").stat().st_size > 10_000
    record = json.loads((out / "evaluation.json").read_text())
    assert record["sizes"] == SIZES
    assert record["unchecked"] == []
    assert record["left_out"] == {}
    # Every method's AUROC is that of the scores that were written.
    rows = pq.read_table(out / "image_scores.parquet").to_pandas()
    assert len(rows) == 32
    for method in record["methods"]:
        figures = method["outliers"]["stripes"]["auroc"]
        expected = roc_auc_score(rows["set"] == "inliers", rows[method["name"]])
        assert figures["value"] == pytest.approx(expected, abs=1e-5)
        assert figures["interval"][0] <= figures["value"] <= figures["interval"][1]
        assert method["seconds_of_inputs"] > 0
    names = [method["name"] for method in record["methods"]]
    assert len(names) == len(set(names)) == 19
    # The score's own column is that of the scores folder.
    scored = pq.read_table(out / "scores" / "inliers" / "exact").to_pandas()
    both = scored.merge(rows[rows["set"] == "inliers"], on="id")
    np.testing.assert_array_equal(both["JEPA-SCORE, one-sided"], both["jepa_score"])


def test_a_rerun_scores_nothing_again_and_folders_of_scores_do_instead(evaluated, folder):
    _, out = evaluated
    shards = sorted((out / "scores").rglob("*.parquet"))
    before = [path.stat().st_mtime_ns for path in shards]
    scores = {name: out / "scores" / name / "exact" for name in SIZES}
    again = run(
        folder,
        folder / "again",
        "--seed",
        "0",
        reference=scores["reference"],
        inliers=scores["inliers"],
        outliers=[scores["stripes"]],
    )
    assert again.exit_code == 0, again.output
    assert [path.stat().st_mtime_ns for path in shards] == before
    one, other = (
        json.loads((path / "evaluation.json").read_text()) for path in (out, folder / "again")
    )
    aurocs = lambda r, n: {m["name"]: m["outliers"][n]["auroc"]["value"] for m in r["methods"]}
    assert aurocs(one, "stripes") == aurocs(other, "exact")
    assert other["unchecked"] == []


def test_shared_images_are_refused_or_dropped(evaluated, folder):
    leaky = folder / "leaky"
    shutil.copytree(folder / "inliers", leaky)
    Image.open(folder / "reference" / "03.png").save(leaky / "renamed.bmp")
    refused = run(folder, folder / "refused", inliers=leaky)
    assert refused.exit_code == 2
    assert "1 of 'inliers' are in 'reference' too" in refused.stderr
    assert "'renamed.bmp' = '03.png'" in refused.stderr
    dropped = run(
        folder, folder / "refused", "--encoder", "embedded", "--drop-shared", inliers=leaky
    )
    assert dropped.exit_code == 0, dropped.output
    assert "dropped from inliers: 1 that another set has" in dropped.stderr
    record = json.loads((folder / "refused" / "evaluation.json").read_text())
    assert record["sizes"]["inliers"] == 20


def test_scores_of_other_settings_are_refused_with_both_values(evaluated, folder):
    other = folder / "mean"
    scored = invoke(
        "score", folder / "inliers", "--encoder", "embedded", "--embedding", "mean",
        "--out", other, "--store", "embedding,spectrum,image",
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    result = run(folder, folder / "differing", inliers=other)
    assert result.exit_code == 2
    assert "encoder.embedding: 'cls' in reference, 'mean' in inliers" in result.stderr


def test_a_sketch_is_calibrated_on_reference_images_and_compared_with_exact(evaluated, folder):
    out = folder / "out"  # The exact scores are there.
    result = run(
        folder, out, "--encoder", "embedded", "--method", "exact", "--method", "sketch",
        "--cotangents", "8",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    facts = json.loads((out / "calibration" / "calibration.json").read_text())["facts"]
    assert facts["source"] == str(folder / "reference")
    assert facts["images"] == 30
    rows = pq.read_table(out / "image_scores.parquet").to_pandas()
    exact, sketch = (rows[f"JEPA-SCORE ({m}), one-sided"] for m in ("exact", "sketch"))
    assert exact.corr(sketch, method="spearman") > 0.7
    # Inliers that the sketch was calibrated on are leakage, too.
    leaky = run(
        folder, folder / "calibrated", "--encoder", "embedded", "--method", "sketch",
        "--cotangents", "8", "--calibration", out / "calibration",
        reference=folder / "inliers", inliers=folder / "reference",
    )  # fmt: skip
    assert leaky.exit_code == 2
    assert "30 of 'inliers' are in 'calibration' too" in leaky.stderr


def test_tables_by_their_columns(folder, tmp_path):
    """Those that were named are read; by scores folders, those that they were made of."""
    tables = {}
    for name in SIZES:
        paths = sorted((folder / name).glob("[0-9]*.png"))[:12]
        columns = {"image": [b"no image"] * len(paths), "photo": [p.read_bytes() for p in paths]}
        columns |= {"id": ["same"] * len(paths), "name": [p.stem for p in paths]}
        tables[name] = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table(columns), tables[name])
    options = ("--encoder", "embedded", "--image-column", "photo", "--id-column", "name")
    sets = {name: tables[name] for name in ("reference", "inliers")}
    found = run(folder, tmp_path / "out", *options, **sets, outliers=[tables["stripes"]])
    assert found.exit_code == 0, found.output
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert set(record["sizes"].values()) == {12}
    scores = tmp_path / "out" / "scores"
    ids = pq.read_table(scores / "inliers" / "exact")["id"].to_pylist()
    assert ids[:2] == ["inliers.parquet/00", "inliers.parquet/01"]
    again = run(
        folder,
        tmp_path / "again",
        *("--seed", "0"),
        reference=scores / "reference" / "exact",
        inliers=scores / "inliers" / "exact",
        outliers=[scores / "stripes.parquet" / "exact"],
    )
    assert again.exit_code == 0, again.output
    assert json.loads((tmp_path / "again" / "evaluation.json").read_text())["unchecked"] == []
    leaky = run(
        folder, tmp_path / "leaky", *options, **sets | {"inliers": tables["reference"]},
        outliers=[tables["stripes"]],
    )  # fmt: skip
    assert "12 of 'inliers' are in 'reference' too" in leaky.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seed", "1"), "an encoder is needed to score it"),
        (("--encoder", "embedded", "--neighbours", "few"), "must be numbers such as '1,5,50'"),
        (("--method", "sketch"), "calibrates on reference images"),
        (("--encoder", "embedded", "--confidence", "95"), "`confidence` must be in (0, 1), got 95"),
    ],
)
def test_mistakes_are_one_message(folder, tmp_path, options, message):
    result = run(folder, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_outliers_of_one_name_are_told_apart(folder):
    from jepa_jax.commands.evaluate import _named

    assert _named(["a/dtd", "b/dtd", "hf:x/svhn:test"]) == {
        "dtd": "a/dtd",
        "b/dtd": "b/dtd",
        "svhn:test": "hf:x/svhn:test",
    }
    with pytest.raises(ValueError, match="--outliers a is given twice"):
        _named(["a", "a"])
