"""CPU seconds, peak memory and wall clock of a command in a process of its own.

This file is also the small process between: what Linux says of a child's peak memory begins with
that of the process that started it, so that it must be started by one that holds next to nothing.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Of `getrusage`'s memory, in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


def measure(command: Sequence[str], cores: int | None = None) -> dict[str, float]:
    """What `command` takes, on the first `cores` cores alone if given; its output goes nowhere.

    Raises `RuntimeError` with the end of its errors where it fails.
    """
    between = [sys.executable, "-S", "-E", __file__, json.dumps([list(command), cores])]
    found = subprocess.run(between, capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{found.stderr[-2000:]}")
    return json.loads(found.stdout)


def peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # Unlike `getrusage`, without what the process was started from held.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def jepa_jax(*arguments: str) -> list[str]:
    """The command of `jepa-jax ...`, by this interpreter."""
    return [sys.executable, "-c", "from jepa_jax.cli import console; console()", *arguments]


def _between(command: list[str], cores: int | None) -> dict[str, float]:
    if cores is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(command[0], command)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(1)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_megabytes": usage.ru_maxrss * _UNIT / 1e6,
    }


if __name__ == "__main__":
    print(json.dumps(_between(*json.loads(sys.argv[1]))))
