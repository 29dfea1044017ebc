"""A cluster under faults at random, and what Ray costs without any.

    python -m benchmarks.cluster faults [--faults 20] [--images 4000] [--seed 0] [--out FOLDER]
    python -m benchmarks.cluster rates [--images 4000] [--repeats 5] [--out FOLDER]

`faults`: on three nodes (processes of this machine), workers and nodes and the process that hands
out are killed, stopped or taken away at random moments; in the end every row is compared with an
undisturbed run's. `rates`: images a second beside our own worker processes, in turn. Each writes a
page with its figures. Needs the extra `ray`.
"""

import argparse
import statistics
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.shared.results import folder_of, write
from benchmarks.shared.tables import table


def faults(args: argparse.Namespace) -> None:
    """Faults at random moments; every row is compared."""
    from benchmarks.cluster.faults import Trial, cluster, make_images, stop, wrong

    with tempfile.TemporaryDirectory() as temporary, cluster(3) as nodes:
        folder = Path(temporary)
        make_images(folder / "photos", args.images)
        trial = Trial(folder, nodes, args.seed)
        try:
            seconds = trial.go(args.faults, args.images)
        finally:
            stop(trial.driver)
        found = {
            "images": args.images,
            "seconds": seconds,
            "drivers": trial.drivers,
            "log": trial.log,
            "wrong": wrong(folder, args.images),
        }
    counts = Counter(one["kind"] for one in found["log"] if one.get("hit", True))
    verdict = "; ".join(found["wrong"]) or (
        "every id once and in order, all columns and the scores' bits those of one process"
    )
    page = "\n\n".join(
        (
            "# A cluster of three nodes under faults",
            f"{args.images} images, {sum(counts.values())} faults at random moments, "
            f"{seconds:.0f} s, {trial.drivers} starts of the driver. Then: {verdict}.",
            table([("fault", 0), ("times", 0)], counts.most_common()),
        )
    )
    command = (
        f"python -m {__package__} faults --faults {args.faults} --images {args.images} "
        f"--seed {args.seed}"
    )
    write(args.out, "faults", command, found, page, libraries=("ray",))
    print(page)


def rates(args: argparse.Namespace) -> None:
    """Images a second beside our own worker processes."""
    from benchmarks.cluster.faults import cluster, make_images
    from benchmarks.cluster.rates import CORES, measure

    runs: dict[str, list[dict[str, float]]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as temporary, cluster(CORES) as nodes:
        folder = Path(temporary)
        make_images(folder / "photos", args.images)
        for turn in range(args.repeats):
            for engine, address in (("local", None), ("ray", nodes.address)):
                runs[engine].append(measure(folder, folder / f"{engine}-{turn}", address))
                print(engine, runs[engine][-1], flush=True)
    median = lambda engine, name: statistics.median(run[name] for run in runs[engine])
    ratios = [b["rate"] / a["rate"] for a, b in zip(runs["local"], runs["ray"], strict=True)]
    names = ("rate", "start", "seconds")
    found = {"images": args.images, "runs": runs, "ratio": statistics.median(ratios)}
    page = "\n\n".join(
        (
            "# What Ray costs",
            f"{args.images} images by {CORES} workers of one core, ours and Ray's in turn, medians "
            f"of {args.repeats}. Ray's steady rate is {found['ratio']:.3f} of ours (median of the "
            f"turns; {min(ratios):.3f} to {max(ratios):.3f}).",
            table(
                [("engine", 0), ("images/s", 1), ("s to the first row", 1), ("s in all", 1)],
                [[engine, *(median(engine, name) for name in names)] for engine in runs],
            ),
        )
    )
    command = f"python -m {__package__} rates --images {args.images} --repeats {args.repeats}"
    write(args.out, "rates", command, found, page, libraries=("ray",))
    print(page)


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True)
    for work in (faults, rates):
        command = commands.add_parser(work.__name__, help=work.__doc__)
        command.set_defaults(work=work)
        command.add_argument("--images", type=int, default=4000)
        command.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    commands.choices["faults"].add_argument("--faults", type=int, default=20, help="how many")
    commands.choices["faults"].add_argument("--seed", type=int, default=0, help="of what is drawn")
    commands.choices["rates"].add_argument("--repeats", type=int, default=5, help="turns")
    args = parser.parse_args(arguments)
    args.work(args)


if __name__ == "__main__":
    main()
