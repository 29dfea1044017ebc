"""The kills carried out: every run killed and continued until it is done, then compared."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from benchmarks.kills import folders
from benchmarks.kills.command import SHARD_SIZE
from benchmarks.kills.kills import Kill

IMAGES, SIDE = 120, 28
# A run that takes longer after its signal is said to hang.
LIMIT = 400.0
# So many seconds may pass from a signal to the end that it causes of the loop over rows.
_AT_ONCE = 1.0
# The shard of the output whose write is cut off is one of the first so many.
WRITES = 4


class Run:
    """One process of the command; reads what it says of where it is."""

    def __init__(
        self,
        work: Path,
        name: str,
        settings: dict[str, Any],
        arguments: Sequence[str],
        cached: bool,
    ):
        self.temporary = work / f"{name}-temporary"
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        if cached:
            environment |= {
                "JAX_COMPILATION_CACHE_DIR": str(work / "programs"),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
        self.begun = time.monotonic()
        self.when: dict[str, float] = {}
        self.told = float("inf")
        self.rows = {"rows": 0, "refine": 0}
        self._news = threading.Condition()
        self.errors = (work / f"{name}-errors.txt").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kills.command", json.dumps(settings), *arguments],
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        phase = "rows"
        for line in cast(IO[bytes], self.process.stdout):
            text = line.decode().strip()
            with self._news:
                phase = text.removeprefix("start ") if text.startswith("start") else phase
                if text == "row":
                    self.rows[phase] += 1
                    text = f"{phase} begun"
                self.when.setdefault(text, time.monotonic() - self.begun)
                self._news.notify_all()
        with self._news:
            self.when["over"] = time.monotonic() - self.begun
            self._news.notify_all()

    def wait_for(self, event: str, seconds: float = LIMIT) -> bool:
        """Whether the event came before the end."""
        with self._news:
            self._news.wait_for(lambda: event in self.when or "over" in self.when, seconds)
            return event in self.when

    def send(self, kill: Kill) -> bool:
        """Whether it was there to be told."""
        if self.process.poll() is not None:
            return False
        self.told = time.monotonic() - self.begun
        (os.killpg if kill.group else os.kill)(self.process.pid, kill.signal)
        return True

    def end(self) -> tuple[int | None, str]:
        """Its exit status (None: it hangs, and is ended), and what it said to the terminal."""
        status = None
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._reader.join(5)
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace")
        self.errors.close()
        cast(IO[bytes], self.process.stdout).close()
        return status, text


class Trials:
    """Runs of every kind in a folder `work`, with their undisturbed results."""

    def __init__(self, work: Path):
        self.work = work
        # In the background of a shell it is ignored, and by the commands from here on, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.ids: list[str] = []
        self.undisturbed: dict[tuple[str, int], dict[str, float]] = {}
        self.twice: dict[tuple[str, int], folders.Difference] = {}
        self.differences: dict[tuple[str, int], list[folders.Difference]] = {}
        self._make_images()

    def _make_images(self) -> None:
        rng = np.random.default_rng(0)
        coarse = rng.random((IMAGES, 4, 4, 3)).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)
        fine = rng.random((IMAGES, SIDE, SIDE, 3)) * rng.random((IMAGES, 1, 1, 1))
        np.savez(self.work / "images.npz", images=(200 * coarse + 55 * fine).astype(np.uint8))

    def calibrate(self) -> None:
        """The calibration of the sketch."""
        from jepa_jax import calibrate, load_encoder

        found = calibrate(
            load_encoder("embedded"), self.work / "images.npz", images=24, batch_size=8
        )
        found.save(self.work / "calibration")

    def folder(self, run: tuple[str, int], name: str = "killed") -> Path:
        """The output of a run."""
        return self.work / f"{run[0]}-{run[1]}-{name}"

    def start(
        self, run: tuple[str, int], name: str = "killed", *, cached: bool = True, **at_write: Any
    ) -> Run:
        """A run begun or continued."""
        kind, processes = run
        arguments = ["score", str(self.work / "images.npz"), "--encoder", "embedded"]
        arguments += ["--out", str(self.folder(run, name)), "--processes", str(processes)]
        arguments += ["--batch-size", "8"]
        if kind != "exact":
            arguments += ["--method", "sketch", "--cotangents", "8"]
            arguments += ["--calibration", str(self.work / "calibration")]
        if kind == "refine":
            arguments += ["--refine", "30%", "--refine-high", "10%"]
        return Run(self.work, f"{kind}-{processes}", at_write, arguments, cached)

    def run_undisturbed(self, runs: Iterable[tuple[str, int]]) -> None:
        """Each kind of run to its end; those that compile for all, twice."""
        for run in sorted(runs, key=lambda run: (run[1], run[0])):
            compiles = run[1] == 1 and run[0] != "refine"
            for name in ("first", "undisturbed") if compiles else ("undisturbed",):
                process = self.start(run, name)
                status, text = process.end()
                if status != 0:
                    raise RuntimeError(f"{run} ended with {status}:\n{text}")
                self.undisturbed[run] = process.when
                print(run, name, process.when, flush=True)
            tables = folders.rows_of(self.folder(run, "undisturbed"))
            self.ids = [i for table in tables for i in table["id"].to_pylist()]
            self.differences[run] = []
            if self.folder(run, "first").exists():
                self.twice[run] = folders.difference(
                    self.folder(run, "first"), self.folder(run, "undisturbed")
                )

    def kill(self, kill: Kill) -> dict[str, Any] | None:
        """What came of one kill; None where the run had ended before it."""
        out = self.folder(kill.run)
        before = sum(len(table) for table in folders.rows_of(out))
        at_write: dict[str, Any] = {}
        if kill.moment == "write":
            number = 1 + int(kill.share * WRITES)
            at_write = {"number": number, "signal": int(kill.signal), "group": kill.group}
        # The kills before the first row are to find it compiling.
        run = self.start(kill.run, cached=kill.moment != "start", **at_write)
        sent = self._await_and_send(run, kill)
        status, text = run.end()
        seconds = time.monotonic() - run.begun
        # Of an interpreter that has not come to the package yet, the system's own.
        expected = {128 + kill.signal, -kill.signal}
        if kill.signal == signal.SIGKILL:
            expected = {-signal.SIGKILL}
        wrong = [] if status is not None else ["it hangs"]
        if not sent:
            wrong += [] if status == 0 else [f"ended with {status} by itself"]
        elif status == 0:  # It was not to be told after its last row.
            if run.told < run.when.get("end", float("inf")) - _AT_ONCE:
                wrong.append("did not end when it was told")
        elif status not in expected:
            wrong.append(f"exit status {status}")
        in_order = status is not None and status >= 0
        wrong += folders.faults(out, self.ids, SHARD_SIZE, in_order=in_order)
        kept = sum(len(table) for table in folders.rows_of(out))
        if in_order and kept < before + run.rows["rows"]:
            wrong.append(f"{before} + {run.rows['rows']} rows were scored, {kept} kept")
        if in_order and "Traceback" in text:
            wrong.append("a traceback")
        wrong += folders.left_behind(run.process.pid, run.temporary)
        if status == 0:
            wrong += self._compare(kill.run)
        if not sent and not wrong:
            return None
        found = {"status": status, "rows": [before, kept], "seconds": seconds, "wrong": wrong}
        if wrong:
            found["said"] = text[-1500:]
        return found

    def _await_and_send(self, run: Run, kill: Kill) -> bool:
        if kill.moment == "write":
            return run.wait_for("signal")
        times = self.undisturbed[kill.run]
        begin, end = {
            "start": (None, "rows begun"),
            "rows": ("rows begun", "start refine" if kill.kind == "refine" else "end"),
            "refine": ("start refine", "end"),
            "end": ("end", "over"),
        }[kill.moment]
        if begin is not None and not run.wait_for(begin):
            return False
        length = times[end] - (times[begin] if begin is not None else 0)
        time.sleep(kill.share * length)
        return run.send(kill)

    def finish(self, run: tuple[str, int]) -> list[str]:
        """Continues a run to its end, if it is not there; what is wrong then."""
        if not self.folder(run).exists():
            return []
        process = self.start(run)
        status, text = process.end()
        if status != 0:
            return [f"ended with {status}: {text[-1500:]}"]
        return self._compare(run)

    def _compare(self, run: tuple[str, int]) -> list[str]:
        """What is wrong with a run that is done; the next kill begins a new one."""
        out = self.folder(run)
        wrong = folders.faults(out, self.ids, SHARD_SIZE, in_order=True)
        found = folders.difference(out, self.folder(run, "undisturbed"))
        self.differences[run].append(found)
        if not found.same:
            wrong.append("ids, methods, ranks or flags are not those of an undisturbed run")
        shutil.rmtree(out)
        return wrong
