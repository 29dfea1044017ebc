"""Ctrl-C, SIGTERM and a closed terminal: the first ends a command in order, the second at once.

Python runs its signal handlers between two steps of the main thread, and an exception raised there
may be lost: inside a callback of XLA, or an import. So the first signal sets a flag, which the loop
over rows looks at; and a thread that waits for signals sees a second one while the main thread is
in a compiler. Before the first row, nothing is there to be kept: then it is an exception as usual,
raised again where a callback had swallowed it. Within an import it waits for the import's end: an
extension module that is interrupted prints a report of its own, and leaves half of itself.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any

# SIGHUP: the terminal is gone; not on Windows.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
# Within so many seconds it is the same wish twice: `timeout` tells a process and then its group.
_SAME = 0.5
# After so many seconds an exception that was lost, or had to wait, is raised again.
_AGAIN = 0.05


class Interruption:
    """The signals that ask a command to end, while it runs; as a context manager.

    `signal`: the first one that came. Where the main thread is not this one, or the parent had a
    signal ignored (`nohup`), it stays as it was.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._since = 0.0
        self._keeping = self._running = self._repeating = self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is not threading.main_thread():
            return self
        self._running = True
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._in_main)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._on_unraisable
        threading.Thread(target=self._watch, daemon=True, name="signals").start()
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._running:
            self._running = False
            sys.unraisablehook = self._hook
            signal.set_wakeup_fd(self._wakeup)
            self._writer.close()  # Ends the thread, which closes the other end.

    @property
    def status(self) -> int:
        """The exit status after it: 130 of Ctrl-C, 143 of SIGTERM, as shells count."""
        return 128 + (self.signal or signal.SIGINT)

    def at_a_row(self) -> None:
        """To be called where a loop may end in order; raises `KeyboardInterrupt` if it shall.

        From the first call on, this is the only place where it is raised.
        """
        self._keeping = True
        self.raise_if_asked()

    def after_rows(self) -> None:
        """The loop has ended: from now on a signal is an exception again."""
        self._keeping = False

    def raise_if_asked(self) -> None:
        """Raises `KeyboardInterrupt` where a signal has come."""
        if self.signal is not None:
            raise KeyboardInterrupt

    def _in_main(self, number: int, frame: FrameType | None) -> None:
        self._note(number)
        if self._keeping:
            return
        if _imports(frame):
            self._later(number)
        else:
            raise KeyboardInterrupt

    def _on_unraisable(self, what: Any) -> None:
        """In place of Python's report of an exception that nobody gets, of a callback."""
        if what.exc_type is not KeyboardInterrupt or self.signal is None:
            return self._hook(what)
        self._later(self.signal)
        return None

    def _later(self, number: int) -> None:
        if not self._waiting:
            self._waiting = True
            threading.Thread(target=self._repeat, args=[number], daemon=True).start()

    def _repeat(self, number: int) -> None:
        """In a thread: the signal again, when the main thread is not importing."""
        main = threading.main_thread().ident or 0
        time.sleep(_AGAIN)
        # One at a time: it is told from a second wish by its number.
        while self._running and (self._repeating or _imports(sys._current_frames().get(main))):
            time.sleep(_AGAIN)
        self._waiting = False
        if self._running and hasattr(signal, "pthread_kill"):  # Windows: the next row ends it.
            self._repeating = True
            # Not `_thread.interrupt_main`: that wakes no system call.
            signal.pthread_kill(main, number)

    def _note(self, number: int) -> bool:
        """Notes the first signal; whether this is a second one."""
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._since = number, now
        return now - self._since > _SAME

    def _watch(self) -> None:
        """The thread: sees every signal when it comes, whatever the main thread does."""
        heard = False  # Not `signal`: the main thread's handler may have noted it before.
        with self._reader:
            while self._running:
                try:
                    numbers = self._reader.recv(64)
                except TimeoutError:  # It has not ended since.
                    self._reader.settimeout(None)
                    _write("ending; once more ends at once")
                    continue
                for number in filter(self._before.__contains__, numbers):
                    if self._repeating:
                        self._repeating = False
                        continue
                    if not heard:
                        heard = True
                        self._reader.settimeout(_SAME)
                    if self._note(number):
                        _write("ended at once")
                        os._exit(128 + number)


def _imports(frame: FrameType | None) -> bool:
    """Whether the code that a frame is in runs for an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _write(text: str) -> None:
    """Directly: the streams may be locked by what was interrupted, and the terminal be gone."""
    shows_cursor = "\x1b[?25h" if os.isatty(2) else ""  # A bar of progress hides it.
    with contextlib.suppress(OSError):
        os.write(2, f"{shows_cursor}\n{text}\n".encode())
