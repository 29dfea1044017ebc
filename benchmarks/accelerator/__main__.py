"""One GPU or TPU, measured: scores by encoder, method and precision, beside PyTorch.

    python -m benchmarks.accelerator [--seconds 510] [--out FOLDER] [--only PART,PART] [--tiny]

One command of less than nine minutes: what is not measured when a part's share of the seconds is
over is left out, and every part is a process of its own, which is ended then. Writes DEVICE.json
after every part, and the same as a page. Random weights: right for times and memory, while the
agreement of precisions and the cost of a real score are other benchmarks' subjects
(benchmarks/precision, benchmarks/frontier). `--tiny` rehearses all of it on a CPU, at sizes whose
times mean nothing.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.shared.results import folder_of, write

LIMIT = 510.0


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=LIMIT, help="for all parts together")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    parser.add_argument("--only", help="parts, by name, with commas between")
    parser.add_argument("--tiny", action="store_true", help="small shapes: a rehearsal on a CPU")
    args = parser.parse_args(arguments)

    from benchmarks.accelerator.page import page
    from benchmarks.accelerator.parts import WEIGHTS, run_all

    parts = args.only.split(",") if args.only else list(WEIGHTS)
    unknown = sorted(set(parts) - set(WEIGHTS))
    if unknown:
        parser.error(f"--only must be of {','.join(WEIGHTS)}, got {','.join(unknown)}")
    command = f"python -m benchmarks.accelerator --seconds {args.seconds:.0f}"
    command += f" --only {args.only}" * bool(args.only) + " --tiny" * args.tiny

    shown = ""
    for record in run_all(parts, args.seconds, args.tiny):
        if record["refused"]:
            sys.exit(record["refused"])
        shown = page(record)
        stem = write(args.out, record["name"], command, record, shown)
        print(f"{record['finished'][-1]}: {stem.with_suffix('.json')}", flush=True)
    print(shown)


if __name__ == "__main__":
    main()
