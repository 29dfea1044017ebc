"""Where the time of a run goes: seconds by stage, JAX's own trace, and the parts of a batch."""

import contextlib
import copy
import dataclasses
import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jepa_jax.atomic_files import replace_text
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.estimators.estimate import cost_in_vjps
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.numerics import numerics
from jepa_jax.scoring.stages import OF_READERS, PREPROCESSING, READING, ROW, SCORES, clocked

# JAX's trace is of the first so many seconds of a run: it takes memory and gigabytes of disk.
_TRACED = 20.0
# A batch is timed so often, and the median taken.
_REPEATS = 5
TRACE, TABLE, NUMBERS = "trace", "stages.md", "stages.json"


class Profile:
    """Times the stages of the run that it is entered for; writes them to a folder.

    FOLDER/stages.md and stages.json: the seconds of each stage, from the second batch on
    (compiling is over by then), and the parts of one batch, measured apart. FOLDER/trace: what JAX
    recorded in the 20 seconds after that, for Perfetto or XProf. Costs a microsecond a stage.

    One at a time in a process; the stages of an engine's workers elsewhere are not seen.

    >>> import tempfile, numpy as np
    >>> from PIL import Image
    >>> from jepa_jax import Exact, Scorer, load_encoder
    >>> from jepa_jax.data import Record
    >>> from jepa_jax.scoring import Profile
    >>> read = lambda: Image.new("RGB", (9, 9), "red")
    >>> records = [Record(str(i), "colours", read) for i in range(3)]
    >>> scorer = Scorer(load_encoder("embedded"), Exact(), batch_size=1)
    >>> with Profile(tempfile.mkdtemp(), trace=False) as profile:
    ...     summary = scorer.run(records, tempfile.mkdtemp())
    >>> sorted(profile.seconds)[:2]
    ['rows and writing', 'the last write']
    """

    def __init__(self, folder: str | Path, *, trace: bool = True):
        self.folder = Path(folder)
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}  # Of these, the thread's own CPU seconds.
        self.calls: dict[str, int] = {}
        self._lock = threading.Lock()
        self._trace = trace
        self._tracing = False
        self._batches = 0
        self._began = self._ended = 0.0

    def __enter__(self) -> "Profile":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._clock = clocked(self._timed)
        self._clock.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._clock.__exit__(*error)
        self._stop_trace()

    @property
    def wall(self) -> float:
        """Seconds from the first batch's end to that of the last stage."""
        return self._ended - self._began if self._began else 0.0

    @property
    def rows(self) -> int:
        """Rows after those of the first batch."""
        return self.calls.get(ROW, 0)

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        if stage == SCORES:
            self._at_a_batch()
        began, worked = time.monotonic(), time.thread_time()
        try:
            with jax.profiler.TraceAnnotation(stage):
                yield
        finally:
            ended = time.monotonic()
            with self._lock:
                if self._began and began >= self._began:
                    self._ended = max(self._ended, ended)
                    self.seconds[stage] = self.seconds.get(stage, 0.0) + ended - began
                    self.cpu[stage] = self.cpu.get(stage, 0.0) + time.thread_time() - worked
                    self.calls[stage] = self.calls.get(stage, 0) + 1

    def _at_a_batch(self) -> None:
        """When a batch is waited for: at the second one, the first has its rows."""
        self._batches += 1
        if self._batches == 2 and not self._began:
            self.begin()
        elif time.monotonic() - self._began > _TRACED:
            self._stop_trace()

    def begin(self) -> None:
        """Times from now on, whatever has been done."""
        if self._trace:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0
            jax.profiler.start_trace(str(self.folder / TRACE), profiler_options=options)
            self._tracing = True
        self._began = time.monotonic()

    def _stop_trace(self) -> None:
        if self._tracing:
            self._tracing = False
            jax.profiler.stop_trace()

    def write(self, scorer: BatchScorer) -> str:
        """Writes the table and the numbers, the parts of a batch of `scorer` among them; the
        table."""
        parts = parts_of_a_batch(scorer)
        numbers = {
            "rows": self.rows,
            "seconds": self.wall,
            "stages": {
                name: {"seconds": s, "cpu_seconds": self.cpu[name], "calls": self.calls[name]}
                for name, s in self.seconds.items()
            },
            "batch": dataclasses.asdict(parts),
        }
        shown = _table(numbers)
        for name, text in ((NUMBERS, json.dumps(numbers, indent=1)), (TABLE, shown)):
            replace_text(self.folder / name, text + "\n")
        return shown


@dataclasses.dataclass(frozen=True)
class BatchParts:
    """Seconds of one batch: `whole`, its `transfer` to the device, its `products` (the method's
    vector-Jacobian products alone); what is left is factorisation, covariates and small sums."""

    images: int
    whole: float
    transfer: float
    products: float

    @property
    def rest(self) -> float:
        """The whole without transfer and products."""
        return max(0.0, self.whole - self.transfer - self.products)


def parts_of_a_batch(scorer: BatchScorer) -> BatchParts:
    """Medians of five, of a batch of noise at the encoder's size on one device of this process.

    Compiles the products apart.
    """
    encoder = scorer.encoder
    if scorer.processes > 1 or scorer.devices.count > 1:
        scorer = copy.copy(scorer)  # Which is of one.
    size = encoder.input_shape[:2]
    batch, chunk = scorer.batch(*size), scorer.plan(*size).chunk
    shape = (batch, *encoder.input_shape)
    images = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    k = encoder.embedding_size
    vjps = min(k, round(cost_in_vjps(scorer.estimator, k, math.prod(encoder.input_shape))))

    def products(state, images):
        def one(image):
            rows = jacobian_of(encoder, state, image, chunk).rows(jnp.eye(k)[:vjps])
            return jnp.square(rows).sum()

        return jax.vmap(one)(images)

    names = [str(i) for i in range(batch)]
    with numerics(scorer.precision):
        alone = scorer.devices.program(products, whole=1, batched=1)
        state, _ = scorer.on_devices()
        return BatchParts(
            batch,
            whole=_seconds(lambda: scorer.dispatch(images, names)()),
            transfer=_seconds(lambda: jax.block_until_ready(jax.device_put(images))),
            products=_seconds(lambda: jax.block_until_ready(alone(state, images))),
        )


def _seconds(call: Any) -> float:
    call()  # Compiles.
    found = []
    for _ in range(_REPEATS):
        began = time.monotonic()
        call()
        found.append(time.monotonic() - began)
    return float(np.median(found))


def _table(numbers: dict[str, Any]) -> str:
    rows, wall = numbers["rows"], numbers["seconds"]
    if not wall:
        return f"one batch: nothing to time apart from compilation{_of_batch(numbers)}"
    lines = [
        f"{rows} images in {wall:.1f} s after the first batch, {rows / wall:.1f} a second",
        "",
        "| stage | where | times | seconds | ms each | of the CPU | share of the time |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in sorted(numbers["stages"].items(), key=lambda i: (i[0] in OF_READERS, i[0])):
        seconds, calls, cpu = found["seconds"], found["calls"], found["cpu_seconds"]
        where = "reading threads" if name in OF_READERS else "main thread"
        share = "" if name in OF_READERS else f"{seconds / wall:.0%}"
        lines.append(
            f"| {name} | {where} | {calls} | {seconds:.2f} | {1e3 * seconds / calls:.2f} | "
            f"{1e3 * cpu / calls:.2f} | {share} |"
        )
    of_readers = [f for n in (READING, PREPROCESSING) if (f := numbers["stages"].get(n))]
    each, cpu = (sum(f[of] / f["calls"] for f in of_readers) for of in ("seconds", "cpu_seconds"))
    lines += [
        "",
        f"An image takes {1e3 * each:.1f} ms of a thread, {1e3 * cpu:.1f} of them of a core: 500 "
        f"images/s need {500 * each:.1f} threads as busy as these, on {500 * cpu:.1f} cores.",
    ]
    return "\n".join(lines) + _of_batch(numbers)


def _of_batch(numbers: dict[str, Any]) -> str:
    parts = BatchParts(**numbers["batch"])
    return (
        f"\n\nOne batch of {parts.images}, measured apart: {1e3 * parts.whole:.1f} ms, of it "
        f"transfer {1e3 * parts.transfer:.1f}, products {1e3 * parts.products:.1f}, factorisation "
        f"and the rest {1e3 * parts.rest:.1f}."
    )
