"""Ctrl-C, SIGTERM and SIGHUP: rows are kept, the status says which it was, a second one kills."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jepa_jax.commands import interruption
from jepa_jax.commands.interruption import Interruption

pytestmark = pytest.mark.skipif(os.name == "nt", reason="its signals are others")

# A run of slow rows, as the command line runs it; "row ..." says that one is done.
RUN = """
import sys, time
sys.path[:0] = {path!r}
from streams import records
from jepa_jax.commands.terminal import Progressing, plain_errors
from jepa_jax import Exact, Scorer, load_encoder

with plain_errors() as command:
    command.stopped = "stopped: the rows are kept"
    scorer = Scorer(load_encoder("embedded"), Exact(), batch_size=3)
    with Progressing("scoring", command.stop) as progress:
        def on_row(row):
            print(row["id"], flush=True)
            time.sleep(0.05)
            progress.advance(row)
        scorer.run(records(400), {out!r}, shard_size=64, on_row=on_row)
"""
# Before any row: in what swallows an exception, and then a loop.
LOST = """
import time
from jepa_jax.commands.terminal import Progressing, plain_errors

with plain_errors() as command:
    try:
        print("here", flush=True)
        time.sleep(30)
    except BaseException:
        print("lost", flush=True)
    with Progressing("scoring", command.stop) as progress:
        for row in range(100):
            progress.advance(row)
            print("row", row, flush=True)
"""
# Before any row: in a callback of the garbage collector, as JAX has one; its exceptions are lost.
SWALLOWED = """
import gc, time
from jepa_jax.commands.terminal import plain_errors

def callback(phase, info):
    if phase == "start":
        print("here", flush=True)
        time.sleep(30)

with plain_errors() as command:
    command.stopped = "stopped"
    gc.callbacks.append(callback)
    gc.collect()
    gc.callbacks.remove(callback)
    time.sleep(30)  # Importing, compiling.
    print("lost")
"""
# Before any row: in an import, and then a wait.
IMPORTING = """
import sys, time
from jepa_jax.commands.terminal import plain_errors

sys.path.insert(0, {folder!r})
with plain_errors() as command:
    command.stopped = "stopped"
    import slow
    time.sleep(30)  # Compiling.
    print("lost")
"""
# After the command, in what Python does at its end.
ENDING = """
import atexit, sys, time
from jepa_jax.cli import console

def slow():
    print("here", flush=True)
    time.sleep(30)

atexit.register(slow)
sys.argv = ["jepa-jax", "--version"]
console()
"""
# The main thread in what looks at no signal, as a compiler does.
DEAF = """
import ctypes
from jepa_jax.commands.terminal import plain_errors

with plain_errors():
    print("here", flush=True)
    mutex = ctypes.create_string_buffer(128)
    for _ in range(2):  # The second time it waits for itself, for ever.
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
"""


def started(code: str, marker: str) -> subprocess.Popen:
    """A process of this code that has printed the marker."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == marker:
            return process
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_run_with_its_rows_kept(tmp_path, name):
    out = tmp_path / "out"
    code = RUN.format(path=[str(Path(__file__).parents[1] / "support"), *sys.path], out=str(out))
    with started(code, "image-009") as process:
        process.send_signal(getattr(signal, name))
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + getattr(signal, name), stderr
    assert "stopped: the rows are kept" in stderr
    assert "Traceback" not in stderr
    said = 10 + len(stdout.split())
    ids = pq.read_table(out)["id"].to_pylist()
    assert ids == [f"image-{i:03d}" for i in range(said)]
    assert not list(out.glob(".*"))


def test_after_its_end_a_command_dies_of_it_quietly():
    with started(ENDING, "here") as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert stderr == ""


def test_a_second_one_amid_an_import_ends_it(tmp_path):
    """What is sent again when the import is over is not a second wish, and hides none."""
    slow = 'import time\nprint("here", flush=True)\ntime.sleep(30)\n'
    (tmp_path / "slow.py").write_text(slow)
    with started(IMPORTING.format(folder=str(tmp_path)), "here") as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        for line in process.stderr:
            if "once more ends at once" in line:
                break
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "ended at once" in stderr


def test_a_lost_exception_is_not_a_lost_signal():
    with started(LOST, "here") as process:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert stdout == "lost\n"
    assert process.returncode == 130, stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_import_is_not_interrupted(tmp_path, name):
    """NumPy's prints a traceback of its own, whatever becomes of the exception."""
    slow = 'import time\nprint("here", flush=True)\ntime.sleep(0.3)\nprint("whole", flush=True)\n'
    (tmp_path / "slow.py").write_text(slow)
    with started(IMPORTING.format(folder=str(tmp_path)), "here") as process:
        process.send_signal(getattr(signal, name))
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + getattr(signal, name), stderr
    assert stdout == "whole\n"
    assert "stopped" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_exception_that_a_callback_swallows_is_raised_again(name):
    with started(SWALLOWED, "here") as process:
        begun = time.monotonic()
        process.send_signal(getattr(signal, name))
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + getattr(signal, name), stderr
    assert time.monotonic() - begun < 25  # Neither sleep is waited for.
    assert stdout == ""
    assert "Traceback" not in stderr
    assert "stopped" in stderr


def test_the_second_signal_ends_what_hears_none():
    with started(DEAF, "here") as process:
        time.sleep(0.5)  # Until it waits.
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)  # The same wish: `timeout` sends it twice.
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "ending; once more ends at once" in stderr
    assert "ended at once" in stderr


@pytest.fixture
def patient(monkeypatch):
    """Signals in this process are the same wish, however long the machine takes."""
    monkeypatch.setattr(interruption, "_SAME", 600)


@pytest.mark.usefixtures("patient")
def test_handlers_are_as_they_were_afterwards():
    hook = sys.unraisablehook  # pytest has one of its own.
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # As `nohup` leaves it.
    try:
        with Interruption() as stop:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            assert stop.status == 143
    finally:
        signal.signal(signal.SIGHUP, before[2])
    after = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before
    assert sys.unraisablehook is hook


@pytest.mark.usefixtures("patient")
def test_while_rows_are_written_it_is_raised_between_them_alone():
    with Interruption() as stop:
        stop.at_a_row()
        signal.raise_signal(signal.SIGINT)  # Raises nothing here.
        with pytest.raises(KeyboardInterrupt):
            stop.at_a_row()
        stop.after_rows()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_whichever_thread_hears_of_it_first_the_second_one_is_offered(capfd):
    """The main thread's handler may have noted a signal that the other one has not read yet."""
    with Interruption() as found:
        found.at_a_row()
        found._note(signal.SIGINT)
        found._writer.send(bytes([signal.SIGINT]))
        deadline = time.monotonic() + 30
        while "once more ends at once" not in (said := capfd.readouterr().err):
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
