"""What the commands share at the terminal: messages, errors, progress."""

import os
import shutil
import sys
import time
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Results go to standard output; progress and messages to standard error.
messages = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False, soft_wrap=True)
# How often a run without a terminal says where it is.
_REPORT_SECONDS = 60.0


class Progressing:
    """Where a run is: a bar on a terminal, a line a minute elsewhere. A context manager."""

    def __init__(self, what: str):
        self.what, self.total, self.rows = what, None, 0
        self.begun = self.reported = time.monotonic()
        self.bar = _bar()
        self.task = self.bar.add_task(what, total=None, rate="")

    def __enter__(self) -> "Progressing":
        self.bar.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.bar.__exit__(*error)

    def start(self, total: int | None, done: int) -> None:
        """`total` rows in all, `done` of them before."""
        self.total, self.rows, self.done = total, 0, done
        self.begun = time.monotonic()
        self.bar.reset(self.task, total=total, completed=done)

    def advance(self, row: object = None) -> None:
        """One more row."""
        self.rows += 1
        now = time.monotonic()
        rate = f"{self.rows / (now - self.begun):.3g} images/s"
        self.bar.update(self.task, advance=1, rate=rate)
        if self.bar.disable and now - self.reported > _REPORT_SECONDS:
            self.reported = now
            of = "" if self.total is None else f" of {self.total}"
            messages.print(f"{self.what}: {self.done + self.rows}{of}, {rate}")


def _bar() -> Progress:
    """A progress bar on a terminal, nothing elsewhere."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=messages,
        disable=not sys.stderr.isatty(),
        transient=True,
    )


class plain_errors:
    """Errors that a user can act on, as one message and exit status 2; others as they are."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, traceback) -> None:
        if "RESOURCE_EXHAUSTED" in str(error):
            messages.print("error: out of device memory: try a smaller --batch-size", style="red")
            raise typer.Exit(2) from error
        if isinstance(error, (ValueError, OSError)) or _is_dead_worker(error):
            messages.print(f"error: {error}", style="red", markup=False)
            raise typer.Exit(2) from error


def _is_dead_worker(error: BaseException | None) -> bool:
    if not isinstance(error, RuntimeError):  # Most errors need not import what knows of workers.
        return False
    from jepa_jax.scoring.workers import WorkerDied

    return isinstance(error, WorkerDied)


def leave(status: int) -> NoReturn:
    """Ends the process at once: a program still being compiled in a thread crashes a normal end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def warn_of_idle_gpu(platform: str) -> None:
    """A GPU that JAX does not use is said, loudly: hours would go by on the CPU unnoticed."""
    if platform == "cpu" and (shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")):
        messages.print(
            "warning: this machine has an NVIDIA GPU, but JAX runs on the CPU: "
            "pip install 'jax[cuda13]' (and see JAX_PLATFORMS)",
            style="bold yellow",
            markup=False,
        )
