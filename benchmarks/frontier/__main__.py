"""Accuracy against cost: the sketch ranks as exact scores do at a fraction of their VJPs.

    python -m benchmarks.frontier spectra --data FOLDER
    python -m benchmarks.frontier grams --data FOLDER
    python -m benchmarks.frontier rivals --data FOLDER
    python -m benchmarks.frontier limit --data FOLDER
    python -m benchmarks.frontier orthogonality
    python -m benchmarks.frontier embedded
    python -m benchmarks.frontier encoder --encoder PATH --images SOURCE [--name NAME]

each write a page with its table, its figures and a plot: NAME.md, .json and .png in results/, or in
the folder of `--out`; the plot needs matplotlib (`pip install -e '.[bench]'`).
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.shared.results import folder_of, write

UNITS = "cost / cost of exact (VJP 1, JVP 1.5)"
CLOCK = "time / time of exact"


class Found(NamedTuple):
    """A result under its name, its command, and the figure's panels with the x-axis' label."""

    name: str
    command: str
    result: dict
    panels: dict
    xlabel: str = UNITS


def spectra(args: argparse.Namespace) -> Found:
    """Real spectra, random singular vectors."""
    from benchmarks.frontier import spectra

    result = spectra.run(args.data, args.quick)
    panels = {name: found["rows"] for name, found in result["tables"].items()}
    return Found("spectra", "spectra --data FOLDER" + " --quick" * args.quick, result, panels)


def grams(args: argparse.Namespace) -> Found:
    """Real Jacobians, as Gram matrices."""
    from benchmarks.frontier import grams

    seeds = 1 if args.quick else 4
    result = grams.run(args.data / grams.FILE, seeds) | {"seeds": seeds}
    panels = {"ViT-S/14, 112 px": [*result["rows"], *result["ablations"]]}
    return Found("grams", "grams --data FOLDER" + " --quick" * args.quick, result, panels)


def rivals(args: argparse.Namespace) -> Found:
    """What has been published for the same, on the same Gram matrices; no figure."""
    from benchmarks.frontier import grams, rivals

    data, nulls, _ = grams.load(args.data / grams.FILE)
    if args.quick:
        data, nulls = tuple(part[::4] for part in data), nulls[::4]
    rows = rivals.run(data, nulls, grams.INSIDE)
    result = {"images": len(data[1]), "rows": rows}
    return Found("rivals", "rivals --data FOLDER" + " --quick" * args.quick, result, {})


def limit(args: argparse.Namespace) -> Found:
    """What a few rows know of a spectrum; no figure."""
    from benchmarks.frontier import limit

    return Found("limit", "limit --data FOLDER", limit.run(args.data), {})


def orthogonality(args: argparse.Namespace) -> Found:
    """Which bases of a bidiagonalisation are orthogonalised anew; no figure."""
    from benchmarks.frontier import orthogonality

    return Found("orthogonality", "orthogonality", orthogonality.run(), {})


def embedded(args: argparse.Namespace) -> Found:
    """The embedded encoder, by wall clock."""
    from benchmarks.frontier import wall_clock
    from jepa_jax import load_encoder

    result = wall_clock.run_embedded(load_encoder("embedded"), args.repeats)
    result |= {"name": "the embedded encoder", "repeats": args.repeats}
    return Found("embedded", "embedded", result, {"embedded encoder": result["rows"]}, CLOCK)


def encoder(args: argparse.Namespace) -> Found:
    """Any encoder on any images, by wall clock."""
    from benchmarks.frontier import wall_clock
    from jepa_jax import load_encoder

    result = wall_clock.run_folder(
        load_encoder(args.encoder), args.images, args.calibration, args.count, args.repeats
    )
    # A checkpoint's folder may be anywhere: its last part is its name.
    name = Path(args.encoder).name
    result |= {"name": name, "repeats": args.repeats}
    command = f"encoder --encoder {name} --images SOURCE"
    return Found(args.name, command, result, {name: result["rows"]}, CLOCK)


def page(work, found: Found) -> str:
    """The result of `work` as Markdown."""
    from benchmarks.frontier import pages

    if work in (embedded, encoder):
        return pages.encoder(found.name, found.result)
    return getattr(pages, work.__name__)(found.result)


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True)
    for work in (spectra, grams, rivals, limit, orthogonality, embedded, encoder):
        command = commands.add_parser(work.__name__, help=work.__doc__)
        command.set_defaults(work=work)
        command.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
        if work in (spectra, grams, rivals, limit):
            command.add_argument("--data", type=Path, required=True, help="the folder of the data")
        if work in (spectra, grams, rivals):
            command.add_argument("--quick", action="store_true", help="fewer images or draws")
        if work in (embedded, encoder):
            command.add_argument("--repeats", type=int, default=5, help="turns to time")
    command.add_argument("--encoder", required=True, help="a checkpoint's folder or hub name")
    command.add_argument("--images", required=True, help="a source of images")
    command.add_argument("--calibration", type=int, default=64)
    command.add_argument("--count", type=int, default=32, help="images to test on")
    command.add_argument("--name", default="encoder", help="of the results' files")
    args = parser.parse_args(arguments)

    import jax

    from benchmarks.frontier.drawing import draw
    from benchmarks.frontier.rows import plain

    began = time.perf_counter()
    with jax.default_matmul_precision("highest"):
        found = args.work(args)
    seconds = time.perf_counter() - began
    record = plain(found.result) | {"seconds": seconds}
    command = f"python -m {__package__} {found.command}"
    stem = write(
        args.out, found.name, command, record, page(args.work, found), libraries=("matfree",)
    )
    if found.panels:
        draw(stem.with_suffix(".png"), found.panels, found.xlabel)
    print(f"{stem.with_suffix('.md')}: {seconds:.0f} s")


if __name__ == "__main__":
    main()
