"""`jepa-jax browse` as a user meets it."""

import signal
import subprocess
import sys
import urllib.request

import pytest
from command_line import invoke
from tables import row, write_folder


def test_it_serves_until_ctrl_c(tmp_path):
    pytest.importorskip("duckdb")
    pytest.importorskip("uvicorn")
    folder = write_folder(tmp_path / "s", [row("a.png", 1.0)])
    command = [sys.executable, "-m", "jepa_jax", "browse", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = process.stderr.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        assert process.stderr.readline().startswith("1 rows of ")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert "a.png" in answer.read().decode()
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[1]
    assert (process.returncode, rest) == (130, "closed\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}"], "not a folder of scores"),
        (["{tmp}", "--images", "x", "--no-images"], "exclude each other"),
        (["s3://bucket/x"], "rows are sorted on a disk"),
    ],
)
def test_mistakes_are_one_message_and_status_2(tmp_path, arguments, message):
    pytest.importorskip("duckdb")
    result = invoke("browse", *[a.format(tmp=tmp_path) for a in arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    from jepa_jax.commands import browse

    monkeypatch.setattr(browse, "_NEEDED", ("no_such_library",))
    result = invoke("browse", tmp_path)
    assert result.exit_code == 2
    assert "browse needs no_such_library: pip install 'jepa-jax[browse]'" in result.stderr
