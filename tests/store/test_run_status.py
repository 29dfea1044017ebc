"""What a folder says of its run: also that it is not at its end."""

import pytest
from command_line import invoke
from tables import row, write_folder

from jepa_jax.report import read_scores
from jepa_jax.report.html import write_report
from jepa_jax.store import RunStatus
from jepa_jax.store.run_status import unfinished


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "scores", [row("a.png", -1.0), row("b.png", -2.0)])


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("stopped", "unfinished: the run was stopped; 2 of 43 rows are there"),
        ("failed", "unfinished: the run has failed; 2 of 43 rows are there"),
        # No process holds the folder.
        ("running", "unfinished: the run was killed; 2 of 43 rows are there"),
    ],
)
def test_an_unfinished_run_is_said_wherever_its_rows_are_shown(folder, tmp_path, state, said):
    RunStatus("a", state, total=43, counts={"ok": 2}).write(folder)
    assert unfinished(folder, 2) == read_scores(folder).unfinished == said
    page = tmp_path / "r.html"
    for command in (
        ("show", folder),
        ("report", folder, "--out", page, "--no-images"),
        ("select", folder, "--bottom", 1),
        ("compare", folder, folder, "--out", tmp_path / "c.html", "--no-images"),
    ):
        result = invoke(*command)
        assert result.exit_code == 0, result.stderr
        assert said in " ".join(result.stderr.split())
    assert said.capitalize() in page.read_text()
    assert "None: every image so far could be read" in page.read_text()
    assert f"A is {said}" in (tmp_path / "c.html").read_text()


def test_of_rows_that_are_to_be_scored_again(folder):
    RunStatus("a", "stopped", doing="refining", total=2).write(folder)
    assert unfinished(folder, 2).endswith(
        "2 of 2 rows are there, not all of them scored again that are to be"
    )


def test_a_whole_run_and_an_older_folder_say_nothing(folder, tmp_path):
    assert unfinished(folder, 2) == ""
    RunStatus("a", "finished", total=2).write(folder)
    assert unfinished(folder, 2) == ""
    written = write_report(folder, tmp_path / "r.html")
    assert written.unfinished == ""
    assert "nfinished" not in (tmp_path / "r.html").read_text()
