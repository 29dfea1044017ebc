"""`jepa-jax score` in small shards, which says where it is and, if asked, ends amid a write.

    python -m benchmarks.kills.command SETTINGS score ...

Prints a line for each row and phase. Nothing is imported sooner than `jepa-jax` does.
"""

import dataclasses
import functools
import io
import json
import os
import sys
from typing import Any, cast

# Rows a shard, and the seconds after which one that is not full is written: many writes, soon.
SHARD_SIZE, FLUSH_SECONDS = 32, 0.1


@dataclasses.dataclass(frozen=True)
class AtWrite:
    """The signal that the process sends when it has written half of its `number`-th shard."""

    number: int
    signal: int
    group: bool


def main() -> None:
    """The command line; see the module's docstring."""
    settings = json.loads(sys.argv[1])
    at_write = AtWrite(**settings) if settings else None

    from jepa_jax.cli import console
    from jepa_jax.commands import score, terminal

    class Saying(terminal.Progressing):
        """Progress for another process to read."""

        phase = "rows"

        def __enter__(self) -> "Saying":
            _in_small_shards()
            if at_write is not None:
                _kill_amid(at_write)
            return cast(Saying, super().__enter__())

        def __exit__(self, *error: object) -> None:
            _say("end")
            super().__exit__(*error)

        def start(self, total: int | None, done: int) -> None:
            _say(f"start {self.phase}")
            self.phase = "refine"
            super().start(total, done)

        def advance(self, row: object = None) -> None:
            _say("row")
            super().advance(row)

    score.Progressing = Saying
    sys.argv[1:] = sys.argv[2:]
    console()


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def _in_small_shards() -> None:
    from jepa_jax.scoring import Scorer, work

    work.FLUSH_SECONDS = FLUSH_SECONDS
    run = Scorer.run
    Scorer.run = cast(Any, functools.partialmethod(run, shard_size=SHARD_SIZE))


def _kill_amid(at: AtWrite) -> None:
    import pyarrow.parquet as pq

    write, written = pq.write_table, 0

    def amid(table: Any, file: Any, **settings: Any) -> None:
        nonlocal written
        written += 1
        if written != at.number:
            return write(table, file, **settings)
        whole = io.BytesIO()
        write(table, whole, **settings)
        half = len(whole.getvalue()) // 2
        file.write(whole.getvalue()[:half])
        file.flush()
        _say("signal")
        (os.killpg if at.group else os.kill)(0 if at.group else os.getpid(), at.signal)
        file.write(whole.getvalue()[half:])
        return None

    pq.write_table = amid


if __name__ == "__main__":
    main()
