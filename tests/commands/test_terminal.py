"""What is printed: names from outside as they are, never obeyed; errors in a line or in full."""

import os
import subprocess
import sys

import pytest
import typer
from command_line import invoke
from tables import row, write_folder

from jepa_jax.atomic_files import check_local
from jepa_jax.commands import terminal
from jepa_jax.commands.terminal import TRACEBACK, plain_errors, say, spelled

EVIL = "a\x1b[2J\x07[red]b[bold]\r\u202egnp.\n:smile:.png"
SPELLED = r"a\x1b[2J\x07[red]b[bold]\r\u202egnp.\n:smile:.png"


def test_control_characters_are_spelled_out():
    assert spelled(EVIL) == SPELLED
    assert spelled("caf\xe9 \u65e5\u672c \U0001f600.png") == "caf\xe9 \u65e5\u672c \U0001f600.png"
    assert spelled("a\x9b31m\udcff\u2028\u2066") == r"a\x9b31m\udcff\u2028\u2066"
    assert spelled("a\nb\tc\r", keep="\n\t") == "a\nb\tc\\r"


def test_messages_are_not_markup(capsys):
    say("saved in scores[v2] and run[/b] :smile: [link=http://a.b]c[/link]\nnext")
    expected = "saved in scores[v2] and run[/b] :smile: [link=http://a.b]c[/link]\nnext\n"
    assert capsys.readouterr().err == expected


def test_a_terminal_of_few_characters(tmp_path):
    """Under an encoding that lacks some, these are spelled out: no error ends the message."""
    code = "from jepa_jax.commands.terminal import say; say('caf\\u00e9 \\u65e5 \\u2019')"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    assert found.stderr.decode("latin-1") == "caf\xe9 \\u65e5 \\u2019\n"


@pytest.fixture
def evil(tmp_path):
    """Scores with names that a terminal would obey, in a folder that looks like markup."""
    rows = [row(EVIL, -5.0), row("b.png", 1.0), row("c\x1b]0;x\x07.png", None, error="d\x1b[0m")]
    return write_folder(tmp_path / "scores[v2]", rows, source="in[/b]\x1b[31m")


def test_show_obeys_no_name(evil):
    result = invoke("show", evil)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "\r" not in result.output
    assert f"       -5.00  {SPELLED}\n" in result.stdout
    assert r"c\x1b]0;x\x07.png: unreadable: d\x1b[0m" in result.stdout
    assert r"3 rows of in[/b]\x1b[31m, embedded" in result.stdout


def test_select_obeys_no_name_and_leaves_lists_as_they_are(evil, tmp_path, monkeypatch):
    listed = invoke("select", evil, "--bottom", 1, "-0")
    assert listed.exit_code == 0, listed.output
    assert listed.stdout == EVIL + "\0"  # Not to a terminal: the names themselves.
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / EVIL).write_text("x")
    dry = invoke("select", evil, "--bottom", 1, "--copy-to", "odd[/b]")
    assert dry.exit_code == 0, dry.output
    assert "1 files to copy into odd[/b]" in dry.stderr
    assert f"  photos/{SPELLED} -> odd[/b]/{SPELLED}\n" in dry.stderr
    (tmp_path / "photos" / EVIL).unlink()
    gone = invoke("select", evil, "--bottom", 1, "--copy-to", "odd")
    assert f"1 gone, such as photos/{SPELLED}" in gone.stderr


def test_folders_that_look_like_markup_are_named_as_they_are(tmp_path):
    for name in ("scores[v2]", "run[/b]"):
        result = invoke("show", tmp_path / name)
        assert result.exit_code == 2
        assert f"in {tmp_path / name}: not a folder of scores" in result.stderr


def test_cells_that_a_spreadsheet_would_compute_are_said(tmp_path):
    rows = [row("=cmd|' calc'!A0.png", -5.0), row("-b.png", -4.0), row("c.png", 1.0)]
    scores = write_folder(tmp_path / "scores", rows)
    result = invoke("select", scores, "--bottom", 2, "--out", tmp_path / "odd.csv")
    assert "note: 2 cells, such as =cmd|' calc'!A0.png, begin like a formula" in result.stderr
    assert "formula" not in invoke("select", scores, "--top", 1, "--out", tmp_path / "a.csv").stderr
    text = invoke("select", scores, "--bottom", 2, "--out", tmp_path / "odd.txt")
    assert "formula" not in text.stderr


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "scores", [row("a.png", 1.0)])


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "{scores}", "--no-images", "--out", "{scores}/report.html"),
        ("select", "{scores}", "--top", "1", "--out", "{scores}/scores-000000.parquet"),
        ("select", "{scores}", "--top", "1", "--copy-to", "{scores}/odd"),
        ("calibrate", ".", "--encoder", "embedded", "--out", "{scores}/calibration"),
        ("score", ".", "--encoder", "embedded", "--out", "{scores}/more"),
        ("train", "embedded", "--out", "{scores}/training"),
    ],
)
def test_nothing_is_put_into_a_folder_of_scores(folder, arguments):
    before = sorted(folder.iterdir())
    result = invoke(*(a.format(scores=folder) for a in arguments))
    assert result.exit_code == 2
    assert "a folder of scores, which is read as one table" in result.stderr
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("calibrate", ".", "--encoder", "embedded", "--out", "s3://b/x"),
        ("report", "{scores}", "--no-images", "--out", "s3://b/x"),
        ("select", "{scores}", "--top", "1", "--out", "s3://b/x.csv"),
        ("select", "{scores}", "--top", "1", "--copy-to", "s3://b/x"),
        ("train", "embedded", "--out", "s3://b/x"),
        ("evaluate", "--reference", "a", "--inliers", "b", "--outliers", "c", "--out", "s3://b/x"),
    ],
)
def test_an_address_makes_no_folder(folder, tmp_path, monkeypatch, arguments):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    result = invoke(*(a.format(scores=folder) for a in arguments))
    assert result.exit_code == 2, result.output
    assert "must be a local file or folder, got the address 's3://b/x" in result.stderr
    assert os.listdir() == []


def test_a_damaged_shard_is_named_by_every_command(folder, tmp_path):
    shard = folder / "scores-000000.parquet"
    shard.write_bytes(shard.read_bytes()[:-9])
    out = tmp_path / "x.csv"
    for command in (["show"], ["report", "--no-images"], ["select", "--top", 1, "--out", out]):
        result = invoke(command[0], folder, *command[1:])
        assert result.exit_code == 2
        assert f"{shard} is damaged or no file of scores" in result.stderr
        assert "delete it, and the same `jepa-jax score` command makes" in result.stderr


def test_errors_are_a_line_and_say_something(capsys):
    with pytest.raises(typer.Exit) as found, plain_errors():
        check_local("s3://b")
    assert found.value.exit_code == 2
    message = "error: the output must be a local file or folder, got the address 's3://b'\n"
    assert capsys.readouterr().err == message
    with pytest.raises(typer.Exit), plain_errors():
        raise OSError
    assert capsys.readouterr().err == "error: OSError, without a message\n"
    with pytest.raises(KeyError), plain_errors():
        raise KeyError("own fault")


def test_what_a_library_raised_leads_to_the_traceback(capsys):
    with pytest.raises(typer.Exit), plain_errors():
        os.path.commonpath([])
    err = capsys.readouterr().err
    assert "error: commonpath() arg is an empty sequence" in err.replace("iterable argument", "arg")
    assert "jepa-jax --traceback COMMAND ... shows where it was raised" in err


def test_a_traceback_is_shown_when_asked_for(tmp_path, monkeypatch):
    plain = invoke("show", tmp_path)
    assert "Traceback" not in plain.stderr
    # Set here, so that it is unset after the test.
    monkeypatch.setenv(TRACEBACK, "0")
    assert "Traceback" not in invoke("show", tmp_path).stderr
    full = invoke("--traceback", "show", tmp_path)
    assert full.exit_code == 2
    assert "Traceback (most recent call last)" in full.stderr
    assert "in read_manifest" in full.stderr
    assert "error: no _manifest.json" in full.stderr
    monkeypatch.setenv(TRACEBACK, "1")
    assert "in read_manifest" in invoke("show", tmp_path).stderr
    assert terminal.TRACEBACK == "JEPA_JAX_TRACEBACK"


def test_a_platform_that_is_not_there_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "gpu")
    said = (
        "Unable to initialize backend 'rocm': Backend 'rocm' is not in the list of known backends"
    )
    with pytest.raises(typer.Exit) as ended, plain_errors():
        raise RuntimeError(said)  # As JAX does.
    assert ended.value.exit_code == 2
    found = capsys.readouterr().err
    assert found == f"error: JAX has no such device here (JAX_PLATFORMS is 'gpu'): {said}\n"
