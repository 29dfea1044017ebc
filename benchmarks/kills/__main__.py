"""Does a killed run lose, double or change a row, or leave anything behind?

    python -m benchmarks.kills [--kills 100] [--seed 0] [--out FOLDER]

Runs over 120 small images, killed by SIGKILL, SIGTERM and SIGINT at random moments and continued by
the same command until they are done; then compared with undisturbed ones. Writes a page with the
counts and its figures: kills.md and .json.
"""

import argparse
import contextlib
import tempfile
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
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
        found = []
        with contextlib.suppress(KeyboardInterrupt):  # What there is, is written.
            for number, kill in enumerate(kills):
                came = None
                while came is None:  # The run had ended before: again.
                    came = trials.kill(kill)
                found.append(came)
                print(number, kill, came, flush=True)
        kills = kills[: len(found)]
        ends = {run: trials.finish(run) for run in trials.undisturbed}
    record = pages.record(kills, found, ends, trials.differences, trials.twice)
    page = pages.page(record)
    command = f"python -m {__package__} --kills {args.kills} --seed {args.seed}"
    write(args.out, "kills", command, record, page, libraries=("pyarrow", "loky"))
    print(page)


if __name__ == "__main__":
    main()
