"""`jepa-jax select` as a user meets it."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import invoke
from tables import SETTINGS, row, write_folder

from jepa_jax.report import conditional_score, read_scores


def select(*arguments):
    return invoke("select", *arguments)


@pytest.fixture
def scores(tmp_path):
    rows = [row(f"{'ab'[i % 2]}/{i}.jpg", float(i)) for i in range(20)]
    return write_folder(tmp_path / "scores", [*rows, row("b/broken.jpg", None)])


def test_a_list_on_standard_output_and_the_counts_beside_it(scores):
    result = select(scores, "--bottom", "10%")
    assert result.exit_code == 0, result.output
    assert result.stdout == "a/0.jpg\nb/1.jpg\n"
    assert "2 selected of 20 scored images, scores 0 to 1" in result.stderr
    assert "without a score: 1 unreadable (--failed adds them)" in result.stderr
    assert (
        select(scores, "--bottom", 2, "--failed", "-0").stdout == "a/0.jpg\0b/1.jpg\0b/broken.jpg\0"
    )


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("--top", 2), ["a/18.jpg", "b/19.jpg"]),
        (("--between", "-inf", "1.0"), ["a/0.jpg", "b/1.jpg"]),
        (("--between", -3, 0), ["a/0.jpg"]),
        (("--two-sided", 2), ["a/0.jpg", "b/19.jpg"]),
        (("--bottom", 1, "--per-class"), ["a/0.jpg", "b/1.jpg"]),
        (("--bottom", 1, "--class", "b"), ["b/1.jpg"]),
        (("--top", 1, "--match", "A/"), ["a/18.jpg"]),
        (("--failed", "--paths"), ["photos/b/broken.jpg"]),
        (("--top", 18, "--invert"), ["a/0.jpg", "b/1.jpg"]),
    ],
)
def test_rules(scores, arguments, lines):
    result = select(scores, *arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == lines


def test_a_threshold_of_other_images(scores, tmp_path):
    reference = write_folder(
        tmp_path / "typical", [row(f"t/{i}.jpg", 5.0 + i) for i in range(99)], source="typical"
    )
    result = select(scores, "--reference", reference, "--false-positive-rate", "1%")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [f"{'ab'[i % 2]}/{i}.jpg" for i in range(5)]
    assert "at most 0.01 score below 5" in result.stderr
    both = select(
        scores, "--reference", reference, "--false-positive-rate", "10%", "--side", "both"
    )
    assert "score below 9 or above 99" in both.stderr


def test_a_reference_of_other_settings_is_refused(scores, tmp_path):
    encoder = SETTINGS["encoder"] | {"fingerprint": "xyz"}
    other = write_folder(tmp_path / "other", [row("x.jpg", 0.0)], encoder=encoder)
    result = select(scores, "--reference", other)
    assert result.exit_code == 2
    assert "encoder.fingerprint: 'abc' here, 'xyz' in the reference" in result.stderr


def test_copies_only_when_told_to(scores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in (0, 1):
        path = tmp_path / "photos" / "ab"[i] / f"{i}.jpg"
        path.parent.mkdir(parents=True)
        path.write_text(str(i))
    command = (scores, "--bottom", 3, "--copy-to", "odd")
    dry = select(*command)
    assert dry.exit_code == 0, dry.output
    assert "2 files to copy into odd" in dry.stderr
    assert "1 gone, such as photos/a/2.jpg" in dry.stderr
    assert "paths are relative to the folder that `score` was run in" in dry.stderr
    assert "a dry run: nothing was done; add --yes to copy" in dry.stderr
    assert not (tmp_path / "odd").exists()
    done = select(*command, "--yes")
    assert "2 copied" in done.stderr
    assert (tmp_path / "odd" / "b" / "1.jpg").read_text() == "1"
    assert "2 are there" in select(*command, "--yes").stderr
    linked = select(scores, "--bottom", 1, "--link-to", "links", "--yes")
    assert linked.exit_code == 0, linked.output
    assert (tmp_path / "links" / "a" / "0.jpg").is_symlink()


def test_files(scores, tmp_path):
    for name in ("s.txt", "s.csv", "s.parquet"):
        result = select(scores, "--bottom", 2, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert result.stdout == ""
        assert "written:" in result.stderr
        assert (tmp_path / name).stat().st_size > 0
    hashed = write_folder(tmp_path / "h", [row(f"t.parquet/{i:032x}", i * 1.0) for i in range(4)])
    assert select(hashed, "--top", 2, "--out", tmp_path / "s.npy").exit_code == 0
    assert np.load(tmp_path / "s.npy").tolist() == [(0, 2), (0, 3)]


def test_by_the_conditional_score_which_is_said_and_listed(tmp_path):
    """Scores on a line, neighbours those of like score; the last far below its own."""
    vector = lambda i: np.float32([np.cos(i / 100), np.sin(i / 100)])
    rows = [row(f"{i}.jpg", float(i), embedding=vector(i)) for i in range(100)]
    rows.append(row("odd.jpg", 40.0, embedding=vector(99.5)))
    rows.append(row("alone.jpg", 41.0, embedding=np.float32([0, 0])))
    scores = write_folder(tmp_path / "many", rows, ("embedding",))
    table = read_scores(scores)
    expected = conditional_score(table.scores, np.stack([r["embedding"] for r in rows]))
    command = (scores, "--conditional", "--two-sided", 2, "--out")
    result = select(*command, tmp_path / "s.csv")
    assert result.exit_code == 0, result.output
    with (tmp_path / "s.csv").open(newline="") as file:
        listed = {r["id"]: r["conditional_score"] for r in csv.DictReader(file)}
    assert set(listed) < set(table.ids)
    assert {id: float(text) for id, text in listed.items()} == {
        id: expected[table.ids.index(id)] for id in listed
    }
    low, high = sorted(float(text) for text in listed.values())
    assert (
        f"102 scored images, conditional scores {low:.6g} to {high:.6g}, scores " in result.stderr
    )
    assert "warning" not in result.stderr
    # What has none has an empty cell, and the list by the score itself no such column.
    select(scores, "--conditional", "--top", 1, "--invert", "--out", tmp_path / "s.parquet")
    kept = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert [r["conditional_score"] for r in kept if r["id"] == "alone.jpg"] == [None]
    select(scores, "--top", 1, "--out", tmp_path / "s.parquet")
    assert "conditional_score" not in pq.read_schema(tmp_path / "s.parquet").names

    few = write_folder(tmp_path / "few", rows[:99], ("embedding",))
    assert "of 99 images the 20 nearest are a large part" in (
        select(few, "--conditional", "--bottom", 1).stderr
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to select by: give one of --bottom"),
        (("--bottom", "1%", "--top", "3"), "--bottom, --top exclude each other"),
        (("--bottom", "lots"), "a number of images such as '500' or a share such as '1%'"),
        (("--bottom", "3", "--out", "list.doc"), "the extension of list.doc must be one of"),
        (("--bottom", "3", "--labels", "nowhere.csv"), "there is no file 'nowhere.csv'"),
        (("--bottom", "3", "--class", "c"), "no image has the label 'c'; there are"),
        (("--between", 2, 1), "`low` must not be above `high`"),
        (("--near-identical", "auto"), "holds no embeddings"),
        (("--conditional", "--bottom", 1), "holds no embeddings: the conditional score"),
        (("--conditional", "--failed"), "--conditional needs --bottom"),
        (("--near-identical", "2"), "must be 'auto' or a cosine"),
        (("--top", 1, "--copy-to", "a", "--link-to", "b"), "--copy-to and --link-to exclude"),
        (("--reference", "{scores}"), "is the folder selected from: use --bottom 1%"),
        (("--reference", "{scores}", "--per-class"), "one threshold for all"),
        (("--top", 1, "--out", "s.npy"), "no uid for"),
    ],
)
def test_mistakes_are_one_message_and_status_2(scores, arguments, message):
    result = select(scores, *(str(a).format(scores=scores) for a in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
