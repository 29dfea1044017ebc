"""One run in a process of its own: `python -m benchmarks.big.driver FOLDER WORKERS`."""

import json
import multiprocessing
import pickle
import sys
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.cluster_worker import Given, Turn
from jepa_jax.scoring.handing_out import HandingOut
from jepa_jax.scoring.reporting import Reporting
from jepa_jax.scoring.rows import Prepared, make_row
from jepa_jax.scoring.work import RowSettings, Shard, ShardWriter, Task

_EVERY = 10_000


class Idle:
    """An engine of processes that give every record a row without looking at it."""

    name = "idle"

    def __init__(self, workers: int):
        self.workers = workers

    def begin(self, scorer: BatchScorer, reporting: Reporting) -> dict[str, Any]:
        return {"device": "none", "jax": "", "known_answers": {}}

    def run(self, task: Task, shards: Iterable[Shard], reporting: Reporting) -> None:
        hand = HandingOut(task, shards, reporting.row)
        context = multiprocessing.get_context("spawn")
        ends: list[Connection] = []
        for _ in range(self.workers):
            here, there = context.Pipe()
            arguments = (there, str(task.out), task.rows)
            context.Process(target=_work, args=arguments, daemon=True).start()
            ends.append(here)
        idle = set(ends)
        while not hand.finished:
            for end in [*idle]:
                order = hand.order(end)
                if order is not None:
                    given = [Given(lot.index, lot.items, lot.care) for lot in order[0]]
                    end.send_bytes(pickle.dumps(given))
                    idle.remove(end)
            for end in wait([end for end in ends if end not in idle]):
                assert isinstance(end, Connection)
                turn: Turn = pickle.loads(end.recv_bytes())
                hand.report(end, turn.rows, turn.written)
                idle.add(end)
        for end in ends:
            end.send_bytes(pickle.dumps(None))

    def kinds(self) -> set[str]:
        return {"none"}


def _work(end: Connection, out: str, settings: RowSettings) -> None:
    """A worker: rows as a scorer's, but for their values."""
    task = Task(None, Path(out), settings, lambda *_: None)  # type: ignore[arg-type]
    written = 0
    while (given := pickle.loads(end.recv_bytes())) is not None:
        rows, writer = [], ShardWriter(task)
        for shard in given:
            for place, record in shard.items:
                row = make_row(Prepared(record, []), None, method="exact", store=())
                row |= {"jepa_score": 0.0, "std_error": 0.0, "rank": 1}
                writer.put(shard.index, place, row)
                rows.append(row)
        writer.flush()
        written += len(rows)
        end.send_bytes(pickle.dumps(Turn(rows, written)))


def main() -> None:
    """Runs, and prints what it took as JSON."""
    top, workers = Path(sys.argv[1]), int(sys.argv[2])
    process, count = psutil.Process(), 0
    marks: list[tuple[int, float, float, float]] = []

    def mark(row: object = None) -> None:
        nonlocal count
        if row is not None:
            count += 1
        if count in (0, 1) or count % _EVERY == 0:
            cpu = process.cpu_times()
            rss = process.memory_info().rss / 2**20
            marks.append((count, time.time() - process.create_time(), cpu.user + cpu.system, rss))

    scorer = Scorer(load_encoder("embedded"), Exact(), batch_size=1)
    mark()
    summary = scorer.run(top / "images.txt", top / "scores", engine=Idle(workers), on_row=mark)
    names = ("rows", "seconds", "cpu_seconds", "mebibytes")
    rows = [dict(zip(names, values, strict=True)) for values in marks]
    print(json.dumps({"resumed": summary.resumed, "rows": summary.scored, "marks": rows}))


if __name__ == "__main__":
    main()
