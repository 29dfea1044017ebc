"""Images a second of the engines at the same cores, without faults."""

import time
from contextlib import closing
from pathlib import Path

from benchmarks.cluster.driver import BATCH, ENCODER, SHARD_SIZE
from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.scoring import Ray

CORES = 2


def measure(folder: Path, out: Path, address: str | None) -> dict[str, float]:
    """One run of all images by worker processes of one core: of our own, or Ray's at `address`.

    `start`: seconds to the first row. `rate`: rows a second from there to the last, the median of
    tenths of the rows, so that a worker that begins late does not count.
    """
    times: list[float] = []
    began = time.perf_counter()
    encoder = load_encoder(ENCODER)
    add = lambda row: times.append(time.perf_counter())
    if address is None:
        with closing(Scorer(encoder, Exact(), batch_size=BATCH, processes=CORES)) as scorer:
            scorer.run(folder / "photos", out, shard_size=SHARD_SIZE, on_row=add)
    else:
        scorer = Scorer(encoder, Exact(), batch_size=BATCH, devices=0)
        with Ray(address, workers=CORES, devices_per_worker=0) as engine:
            scorer.run(folder / "photos", out, engine=engine, shard_size=SHARD_SIZE, on_row=add)
    tenth = len(times) // 10
    # Without the first and last: workers begin and end one after the other.
    rates = sorted(tenth / (times[(i + 1) * tenth] - times[i * tenth]) for i in range(3, 9))
    return {
        "start": times[0] - began,
        "rate": rates[len(rates) // 2],
        "seconds": time.perf_counter() - began,
    }
