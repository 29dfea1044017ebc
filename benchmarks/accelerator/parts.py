"""The parts of the measurement, each in a process of its own that is ended when its time is over.

A part prints a row of JSON for whatever it has measured, when it has: one that is ended, runs out
of memory or fails keeps its rows, and the others are measured all the same.
"""

import importlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# Every part, in order, and its share of the time. What one leaves is there for the next.
WEIGHTS = {
    "device": 45,
    "small": 120,
    "sizes": 90,
    "pytorch": 100,
    "large": 60,
    "huge": 55,
    "decoding": 40,
}
_MODULES = {"small": "scores", "sizes": "scores", "large": "scores", "huge": "scores"}
_ROW = "row "


def rows_of(part: str, seconds: float, tiny: bool, folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of one part, measured in this process; `folder` is for files of its own."""
    module = importlib.import_module(f"benchmarks.accelerator.{_MODULES.get(part, part)}")
    deadline = time.monotonic() + seconds
    left = lambda: deadline - time.monotonic()
    if module.__name__.endswith(".scores"):
        yield from module.rows(part, left, tiny)
    else:
        yield from module.rows(left, tiny, folder)


def run_all(parts: Sequence[str], seconds: float, tiny: bool) -> Iterator[dict[str, Any]]:
    """The record so far, after every part."""
    began = time.monotonic()
    record: dict[str, Any] = {"name": "", "refused": "", "tiny": tiny, "finished": [], "rows": []}
    for i, part in enumerate(parts):
        left = seconds - (time.monotonic() - began)
        share = left * WEIGHTS[part] / sum(WEIGHTS[p] for p in parts[i:])
        for row in in_a_process(part, share, tiny):
            record["rows"].append({"part": part} | row)
            print(json.dumps(row), flush=True)
        record["name"] = record["name"] or _name(record["rows"], tiny)
        record["refused"] = next((r["refused"] for r in record["rows"] if "refused" in r), "")
        record["finished"].append(part)
        record["seconds"] = time.monotonic() - began
        yield record


def _name(rows: list[dict[str, Any]], tiny: bool) -> str:
    """The results' file, by the device."""
    kind = next((row["kind"] for row in rows if row["what"] == "device"), "device")
    return ("tiny-" if tiny else "") + re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")


def in_a_process(part: str, seconds: float, tiny: bool) -> Iterator[dict[str, Any]]:
    """The rows of one part from a process of its own, as they come, for so many seconds."""
    began = time.monotonic()
    arguments = json.dumps([part, seconds, tiny])
    # All of the memory taken at once would leave PyTorch none.
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.accelerator.parts", arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        start_new_session=True,  # With what it starts itself, compilers among them.
    )
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        while True:
            try:
                line = lines.get(timeout=max(0.0, began + seconds - time.monotonic()))
            except queue.Empty:
                yield {"what": "ended", "after_seconds": time.monotonic() - began}
                return
            if line is None:
                break
            if line.startswith(_ROW):
                yield json.loads(line.removeprefix(_ROW))
            else:
                print(line, end="", file=sys.stderr)
        if process.wait():
            yield {"what": "failed", "error": f"the process ended with {process.returncode}"}
        yield {"what": "finished", "after_seconds": time.monotonic() - began}
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()


def _read(process: subprocess.Popen, lines: queue.Queue) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)


def main(argument: str) -> None:
    """The other side of `in_a_process`."""
    part, seconds, tiny = json.loads(argument)
    with tempfile.TemporaryDirectory() as folder:
        for row in rows_of(part, seconds, tiny, Path(folder)):
            print(_ROW + json.dumps(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
