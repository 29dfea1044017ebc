"""`jepa-jax export` as a user meets it."""

import csv
import json

import pytest
from command_line import invoke
from tables import row, write_folder


@pytest.fixture
def scores(tmp_path):
    rows = [row(f"{'ab'[i % 2]}/{i}.png", float(i)) for i in range(8)] + [row("a/x.png", None)]
    return write_folder(tmp_path / "scores", rows)


def test_all_formats_at_once(scores, tmp_path):
    written = {name: tmp_path / name for name in ("fo", "issues.csv", "all.csv")}
    result = invoke(
        *("export", scores, "--fiftyone", written["fo"], "--extremes", 2),
        *("--issues", written["issues.csv"], "--bottom", 3, "--csv", written["all.csv"]),
    )
    assert result.exit_code == 0, result.output
    samples = json.loads((written["fo"] / "samples.json").read_text())["samples"]
    assert [s["jepa_label"] for s in samples] == [*"abababab", "a"]
    assert sum("least typical" in s["tags"] for s in samples) == 2
    with written["issues.csv"].open() as file:
        issues = list(csv.DictReader(file))
    assert [i["id"] for i in issues if i["is_jepa_score_issue"] == "True"] == [
        *("a/0.png", "b/1.png", "a/2.png", "a/x.png"),
    ]
    with written["all.csv"].open() as file:
        assert [line["jepa_score"] for line in csv.DictReader(file)] == [
            *map(str, map(float, range(8))),
            "",
        ]


def test_what_a_spreadsheet_would_compute_is_text_in_csv_and_said_of_issues(tmp_path):
    """One table is for spreadsheets; the other is joined to tables by its ids."""
    names = ["=1+1.png", "+a,b.png", "@SUM(A1)", "\n=1", "\uff1d1", "c.png"]
    scores = write_folder(tmp_path / "scores", [row(n, -float(i)) for i, n in enumerate(names)])
    written, issues = tmp_path / "all.csv", tmp_path / "issues.csv"
    result = invoke("export", scores, "--csv", written, "--issues", issues)
    with written.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [line["id"] for line in found] == [f"'{n}" for n in names[:5]] + ["c.png"]
    assert found[1]["jepa_score"] == "-1.0"
    with issues.open(newline="") as file:
        assert [line["id"] for line in csv.DictReader(file)] == names
    assert "note: 5 cells, such as =1+1.png, begin like a formula" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --fiftyone, --issues or --csv"),
        (["--csv", "{tmp}/all.txt"], "must be one of .csv, got '.txt'"),
        (["--issues", "{tmp}/issues.npy"], "must be one of .csv, .parquet, got '.npy'"),
        (["--csv", "{tmp}/scores/all.csv"], "a folder of scores"),
        (["--issues", "{tmp}/issues.csv", "--bottom", "many"], "many"),
    ],
)
def test_mistakes_are_one_message_and_status_2(scores, tmp_path, arguments, message):
    result = invoke("export", scores, *[a.format(tmp=tmp_path) for a in arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scores"]
