"""The command line with files of few rows, which at some rows says so and waits.

It is killed there, or goes on at a line.

python stopped_command.py SHARD_SIZE ROWS,ROWS,... COMMAND...
"""

import itertools
import subprocess
import sys


def start(shard_size: int, stops: tuple[int, ...], *command: object) -> subprocess.Popen[str]:
    """A process of it; `stdout` has a line 'stop' at each of the rows."""
    arguments = [str(shard_size), ",".join(map(str, stops)), *map(str, command)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, __file__, *arguments], stdin=pipe, stdout=pipe, text=True
    )


def main() -> None:
    """Runs it."""
    from jepa_jax import Scorer
    from jepa_jax.cli import console

    shard_size, stops = int(sys.argv[1]), [int(rows) for rows in sys.argv[2].split(",")]
    sys.argv[1:] = sys.argv[3:]
    run, count = Scorer.run, itertools.count(1)

    def on_row(row: object) -> None:
        if next(count) in stops:
            print("stop", flush=True)
            sys.stdin.readline()

    ours = {"shard_size": shard_size, "on_row": on_row}
    Scorer.run = lambda *given, **named: run(*given, **named | ours)
    console()


if __name__ == "__main__":
    main()
