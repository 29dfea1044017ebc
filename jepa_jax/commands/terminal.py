"""What the commands share at the terminal: messages, errors, progress."""

import functools
import os
import re
import shutil
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

import typer

from jepa_jax.commands.interruption import Interruption

if TYPE_CHECKING:  # rich is imported when there is something to print: `--help` needs none of it.
    from rich.console import Console
    from rich.progress import Progress

    from jepa_jax.store.run_status import RunStatus

# Whether errors are shown with where they were raised: `jepa-jax --traceback`.
TRACEBACK = "JEPA_JAX_TRACEBACK"
_PACKAGE = Path(__file__).parent.parent
# What moves a terminal's cursor, hides text or turns its direction: control characters, separators
# of lines, marks of direction, halves of characters.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
# How often a run without a terminal says where it is.
_REPORT_SECONDS = 60.0


def spelled(text: object, keep: str = "") -> str:
    """A text from outside with its control characters written out, but for those in `keep`.

    >>> spelled("a\\x1b[2J.png")
    'a\\\\x1b[2J.png'
    """
    spell = lambda m: m[0] if m[0] in keep else m[0].encode("unicode_escape").decode()
    return _CONTROL.sub(spell, str(text))


@functools.cache
def _console(result: bool) -> "Console":
    from rich.console import Console

    return Console(stderr=not result, highlight=False, soft_wrap=True)


def results() -> "Console":
    """Where results go: standard output."""
    return _console(result=True)


def say(text: str, style: str = "", *, result: bool = False) -> None:
    """Prints a message as it is: no markup, no control characters but ends of lines.

    Results go to standard output, messages to standard error. Names from outside are to be
    `spelled` where an end of a line would deceive.
    """
    from rich.text import Text

    to = _console(result)
    text = spelled(text, keep="\n\t")
    encoding = to.encoding or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    to.print(Text(text), style=style or None)


def warn_of_formulas(cells: list[str]) -> None:
    """What a spreadsheet would compute is said, where a list must name the images as they are."""
    if cells:
        say(
            f"note: {len(cells)} cells, such as {spelled(cells[0])}, begin like a formula: a "
            "spreadsheet must import these columns as text",
            "yellow",
        )


class Progressing:
    """Where a run is: a bar on a terminal, a line a minute elsewhere. A context manager.

    Every row is a place where a signal that `stop` has noted ends the run in order.
    """

    def __init__(self, what: str, stop: Interruption):
        self.what, self.stop, self.total, self.rows = what, stop, None, 0
        self.note = ""
        self.begun = self.reported = time.monotonic()
        self.bar = _bar()
        self.task = self.bar.add_task(what, total=None, rate="")

    def __enter__(self) -> "Progressing":
        self.bar.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.stop.after_rows()
        self.bar.__exit__(*error)

    def start(self, total: int | None, done: int) -> None:
        """`total` rows in all, `done` of them before."""
        self.total, self.rows, self.done = total, 0, done
        self.begun = time.monotonic()
        self.bar.reset(self.task, total=total, completed=done)

    def tell(self, status: "RunStatus") -> None:
        """How an engine's workers are: said where that has changed. A place to end in order, too.

        Between two rows there may be hours.
        """
        if status.note and status.note != self.note:
            self.note = status.note
            say(f"workers: {spelled(status.note)}", "yellow")
        self.stop.raise_if_asked()

    def advance(self, row: object = None) -> None:
        """One more row."""
        self.rows += 1
        now = time.monotonic()
        rate = f"{self.rows / (now - self.begun):.3g} images/s"
        if self.total is not None:  # Rows that are done again were counted as done.
            self.total = max(self.total, self.done + self.rows)
        self.bar.update(self.task, advance=1, total=self.total, rate=rate)
        if self.bar.disable and now - self.reported > _REPORT_SECONDS:
            self.reported = now
            of = "" if self.total is None else f" of {self.total}"
            say(f"{self.what}: {self.done + self.rows}{of}, {rate}")
        self.stop.at_a_row()


def _bar() -> "Progress":
    """A progress bar on a terminal, nothing elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=_console(result=False),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


class plain_errors:
    """A command's body: errors that a user can act on are one message and exit status 2; others are
    as they are. Ctrl-C, SIGTERM and SIGHUP end it, with a message and status 130, 143 or 129.

    `stopped`: what is kept then, to be set when it is known.
    """

    def __init__(self) -> None:
        self.stop = Interruption()
        self.stopped = "stopped"

    def __enter__(self) -> "plain_errors":
        self.stop.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            self._end(error)
        finally:
            self.stop.__exit__()

    def _end(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, typer.Exit):
            return
        # Whatever it has become on its way: an import makes another error of it, a worker dies.
        if isinstance(error, KeyboardInterrupt) or self.stop.signal is not None:
            say(self.stopped)
            leave(self.stop.status)
        shown = os.environ.get(TRACEBACK, "") not in ("", "0")
        if shown:
            traceback.print_exception(error)
        if "RESOURCE_EXHAUSTED" in str(error):
            say("error: out of device memory: try a smaller --batch-size", "red")
            raise typer.Exit(2) from error
        if "Unable to initialize backend" in str(error):
            asked = os.environ.get("JAX_PLATFORMS", "")
            asked = f" (JAX_PLATFORMS is {asked!r})" if asked else ""
            say(f"error: JAX has no such device here{asked}: {in_words(error)}", "red")
            raise typer.Exit(2) from error
        if isinstance(error, (ValueError, OSError)) or _is_of_the_machine(error):
            say(f"error: {in_words(error)}", "red")
            if not shown and not _raised_here(error):
                say("jepa-jax --traceback COMMAND ... shows where it was raised")
            raise typer.Exit(2) from error


def in_words(error: BaseException) -> str:
    """What an error says; its kind where it says nothing."""
    return str(error) or f"{type(error).__name__}, without a message"


def _raised_here(error: BaseException) -> bool:
    """Whether a line of this package raised it, or the system: not a library it was wrong to."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or isinstance(error, OSError):
        return True
    return _PACKAGE in Path(last.tb_frame.f_code.co_filename).parents


def _is_of_the_machine(error: BaseException | None) -> bool:
    """Whether a worker process died, or a device computes wrong numbers."""
    if not isinstance(error, RuntimeError):  # Most errors need not import what knows of these.
        return False
    from jepa_jax.scoring.known_answers import WrongNumbers
    from jepa_jax.scoring.workers import WorkerDied

    return isinstance(error, (WorkerDied, WrongNumbers))


def leave(status: int) -> NoReturn:
    """Ends the process at once: a program still being compiled in a thread crashes a normal end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def warn_of_idle_gpu(platform: str) -> None:
    """A GPU that JAX does not use is said, loudly: hours would go by on the CPU unnoticed."""
    if platform == "cpu" and (shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")):
        say(
            "warning: this machine has an NVIDIA GPU, but JAX runs on the CPU: "
            "pip install 'jax[cuda13]' (and see JAX_PLATFORMS)",
            "bold yellow",
        )
