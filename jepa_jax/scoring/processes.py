"""Worker processes: on a CPU, several programs of few cores each are faster than one of all cores.

The operations of one program are cut up for every core and wait for each other; programs of one
core each wait for nothing. benchmarks/exact.py has the measured gain.
"""

import gc
import os
import pickle
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float

from jepa_jax.encoders import Encoder
from jepa_jax.encoders.catalogue import vjp_flops
from jepa_jax.estimators import Estimator
from jepa_jax.scoring.plan import plan_for

if TYPE_CHECKING:
    from jepa_jax.scoring.scorer import Scorer, Scores

# Of a worker beside its parameters and Jacobians: the interpreter, JAX and compiled programs.
_BYTES_WORKER = 0.7e9
# A Jacobian's rows, the backward pass's arrays and the factorisation, over the rows.
_ROWS_HELD = 2.0
# A run shorter than this is not worth starting and compiling in several processes.
_SECONDS_WORTH = 120.0
# What one core of a CPU computes, for the length of a run: a guess, wrong by a factor of 3.
_FLOPS_CORE = 5e10
# A stream without a count is taken to have so many images.
_IMAGES_UNKNOWN = 1000


class WorkerDied(RuntimeError):
    """A worker process ended before its work."""

    def __init__(self):
        super().__init__(
            "a worker process died (out of memory?): the same command continues, with fewer "
            "`processes` where memory is short"
        )


class Processes:
    """`count` processes, each with its share of this one's cores and a copy of `scorer`.

    Needs a CPU: raises `ValueError` where JAX runs on another platform. A worker that dies raises
    `WorkerDied` where its scores are asked or waited for. Workers end with this object or this
    process.
    """

    def __init__(self, scorer: "Scorer", count: int):
        # Imported here: one process does not need it.
        from loky.process_executor import ProcessPoolExecutor

        platform = jax.default_backend()
        if platform != "cpu":
            raise ValueError(f"`processes` must be 1 where JAX runs on {platform}, got {count}")
        folder = tempfile.TemporaryDirectory(prefix="jepa_jax-")
        payload = Path(folder.name) / "scorer.pickle"
        with payload.open("wb") as file:
            pickle.dump(scorer, file)
        # One executor a worker: each is told its own cores.
        self._executors = [
            ProcessPoolExecutor(1, initializer=_begin, initargs=(payload, cores, os.getpid()))
            for cores in share_cores(count)
        ]
        self._busy = [0] * count
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, _end, self._executors, folder)

    def submit(
        self, images: Float[np.ndarray, "b h w c"], names: Sequence[str | bytes]
    ) -> "Callable[[], Scores]":
        """Gives a batch to the least busy worker; the function returned waits for its scores."""
        from loky.process_executor import BrokenProcessPool

        with self._lock:
            place = self._busy.index(min(self._busy))
            self._busy[place] += 1
        try:
            future = self._executors[place].submit(_score, images, names)
        except BrokenProcessPool as error:  # It died idle.
            raise WorkerDied from error

        def wait() -> "Scores":
            try:
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


def share_cores(count: int) -> list[list[int]]:
    """The cores that this process may run on, in `count` parts of neighbours.

    Raises `ValueError` where there are fewer cores than parts.
    """
    cores = available_cores()
    if count > len(cores):
        raise ValueError(f"`processes` must be at most {len(cores)}, the cores here, got {count}")
    return [part.tolist() for part in np.array_split(cores, count)]


def available_cores() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def worthwhile(
    encoder: Encoder, estimator: Estimator, images: int | None, batch: int | None = None
) -> int:
    """How many processes to score so many images in (None: not known): one a core, or 1.

    `batch` images at once, by default the plan's. 1 where JAX does not run on a CPU, where the run
    is short, and where memory is.
    """
    # Imported here: the choice is made at the edge.
    import psutil

    cores = len(available_cores())
    if jax.default_backend() != "cpu" or cores == 1:
        return 1
    config, side = encoder.config, encoder.image_size
    k, pixels = encoder.embedding_size, side * side * config.channels
    vjps, jvps = estimator.cost(k, pixels)
    flops = (vjps + 1.5 * jvps) * vjp_flops(config, encoder.rule, side, side)
    images = _IMAGES_UNKNOWN if images is None else images
    if images * flops / (_FLOPS_CORE * cores) < _SECONDS_WORTH:
        return 1
    parameters = sum(leaf.nbytes for leaf in jax.tree.leaves(encoder.state))
    batch = plan_for(encoder, side, side, batch).batch
    held = _ROWS_HELD * batch * min(vjps + jvps, k) * pixels * 4
    each = parameters + held + _BYTES_WORKER
    return max(1, min(cores, int(psutil.virtual_memory().available // each)))


_scorer: "Scorer | None" = None  # A worker's.


def _begin(payload: Path, cores: list[int], parent: int) -> None:
    """A worker's start: its cores before anything of JAX runs, then its scorer."""
    global _scorer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent's to handle.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    os.environ["NPROC"] = str(len(cores))  # XLA's number of threads where cores cannot be set.
    os.environ["JAX_PLATFORMS"] = "cpu"
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    with payload.open("rb") as file:
        _scorer = pickle.load(file)


def _follow(parent: int) -> None:
    """Ends this process after its parent, which may have had no time to say so."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _score(images: np.ndarray, names: Sequence[str | bytes]) -> "Scores":
    assert _scorer is not None
    return _scorer.dispatch(images, names)()


def _end(executors: list[Any], folder: tempfile.TemporaryDirectory) -> None:
    for executor in executors:
        executor.shutdown(wait=True, kill_workers=True)
    # Their semaphores are freed when they are: a process that ends at once after this would leave
    # them to a tracker that complains at the terminal.
    executors.clear()
    gc.collect()
    folder.cleanup()
