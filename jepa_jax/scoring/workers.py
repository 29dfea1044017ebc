"""Worker processes: on a CPU, several programs of few cores each are faster than one of all cores.

The operations of one program are cut up for every core and wait for each other; programs of one
core each wait for nothing. benchmarks/exact has the measured gain.
"""

import gc
import os
import pickle
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from jepa_jax.scoring.cores import share_cores
from jepa_jax.xla import default_device

# What a program compiles stays in memory: loky would take it for a leak, and start the worker anew.
_ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}


class WorkerDied(RuntimeError):
    """A worker process ended before its work."""

    def __init__(
        self,
        said: str = "a worker process died (out of memory?): the same command continues, with "
        "fewer `processes` where memory is short",
    ):
        super().__init__(said)


class Workers:
    """`count` processes, each with its share of this one's cores and a copy of the function `work`.

    Needs a CPU: raises `ValueError` where JAX runs on another platform. A worker that dies raises
    `WorkerDied` where its results are asked or waited for. Workers end with this object or this
    process.
    """

    def __init__(self, work: Callable[..., Any], count: int):
        # Imported here: one process does not need it.
        from loky.process_executor import ProcessPoolExecutor

        platform = default_device().platform
        if platform != "cpu":
            raise ValueError(f"`processes` must be 1 where JAX runs on {platform}, got {count}")
        # One executor a worker: each is told its own cores.
        self._executors = [
            ProcessPoolExecutor(
                1, initializer=_begin, initargs=(cores, os.getpid()), env=_ENVIRONMENT
            )
            for cores in share_cores(count)
        ]
        self._busy = [0] * count
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, _end, self._executors)
        # As the first task, not through a file: nothing is left of it when this process is killed.
        copy = pickle.dumps(work)
        self._begun = [executor.submit(_take, copy) for executor in self._executors]

    def submit(self, *arguments: Any) -> Callable[[], Any]:
        """Gives `work(*arguments)` to the least busy worker; what is returned waits for its result.

        Both of them may raise `WorkerDied`.
        """
        from loky.process_executor import BrokenProcessPool

        with self._lock:
            place = self._busy.index(min(self._busy))
            self._busy[place] += 1
        try:
            future = self._executors[place].submit(_call, arguments)
        except BrokenProcessPool as error:  # It died idle.
            raise WorkerDied from error

        def wait() -> Any:
            try:
                self._begun[place].result()
                return future.result()
            except BrokenProcessPool as error:
                raise WorkerDied from error
            finally:
                with self._lock:
                    self._busy[place] -= 1

        return wait

    def close(self) -> None:
        """Ends the workers."""
        self._end()


_work: Callable[..., Any] | None = None  # A worker's.


def _begin(cores: list[int], parent: int) -> None:
    """A worker's start: its cores before anything of JAX runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent's to handle.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    os.environ["NPROC"] = str(len(cores))  # XLA's number of threads where cores cannot be set.
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """Ends this process after its parent, which may have had no time to say so."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _take(copy: bytes) -> None:
    global _work
    _work = pickle.loads(copy)


def _call(arguments: tuple[Any, ...]) -> Any:
    assert _work is not None
    return _work(*arguments)


def _end(executors: list[Any]) -> None:
    for executor in executors:
        executor.shutdown(wait=True, kill_workers=True)
    # Their semaphores are freed when they are: a process that ends at once after this would leave
    # them to a tracker that complains at the terminal.
    executors.clear()
    gc.collect()
