"""Does a killed run lose, double or change a row, or leave anything behind?

    python -m benchmarks.kills [--kills 100] [--seed 0] [--at-once 1] [--out FOLDER]

Runs over 120 small images, killed by SIGKILL, SIGTERM and SIGINT at random moments and continued by
the same command until they are done; then compared with undisturbed ones. Writes a page with the
counts and its figures: kills.md and .json.
"""

import argparse
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--at-once", type=int, default=1, help="so many of the runs at a time")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.kills import pages
    from benchmarks.kills.kills import draw
    from benchmarks.kills.trials import Trials

    kills = draw(args.kills, args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        trials = Trials(Path(temporary))
        trials.calibrate()
        trials.run_undisturbed(dict.fromkeys(kill.run for kill in kills))
        found = _carry_out(trials, kills, args.at_once)
        kills = [kills[i] for i in sorted(found)]
        ends = {run: trials.finish(run) for run in trials.undisturbed}
    record = pages.record(
        kills, [found[i] for i in sorted(found)], ends, trials.differences, trials.twice
    )
    page = pages.page(record)
    command = f"python -m {__package__} --kills {args.kills} --seed {args.seed}"
    write(args.out, "kills", command, record, page, libraries=("pyarrow", "loky"))
    print(page)


def _carry_out(trials: Any, kills: list[Any], at_once: int) -> dict[int, dict[str, Any]]:
    """What came of the kills, by their numbers: those of one run one after the other. Ctrl-C lets
    the ones under way end, and what there is, is written."""
    found: dict[int, dict[str, Any]] = {}
    stop = threading.Event()

    def carry_out(run: tuple[str, int]) -> None:
        for number, kill in enumerate(kills):
            if kill.run != run:
                continue
            came = None
            while came is None and not stop.is_set():  # The run had ended before: again.
                came = trials.kill(kill)
            if came is not None:
                found[number] = came
                print(number, kill, came, flush=True)

    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(carry_out, run) for run in trials.undisturbed]
        try:
            for future in futures:
                future.result()
        except BaseException as error:
            stop.set()
            if not isinstance(error, KeyboardInterrupt):
                raise
    return found


if __name__ == "__main__":
    main()
