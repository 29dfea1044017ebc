"""Accuracy against cost: the sketch ranks as exact scores do at a fraction of their VJPs.

    python benchmarks/frontier.py spectra --data FOLDER
    python benchmarks/frontier.py grams --data FOLDER
    python benchmarks/frontier.py limit --data FOLDER
    python benchmarks/frontier.py embedded
    python benchmarks/frontier.py encoder --encoder PATH --images SOURCE [--name NAME]

each write a table, its figures and a plot, results/frontier-NAME.md, .json and .png; the plot needs
matplotlib (`pip install -e '.[bench]'`). Measured, in distribution, on held-out images:

`grams`, real Jacobians of a ViT-S/14 at 112 px (K = 384): rank correlation .994 with exact scores
at 8 times fewer VJPs, the error's sd .074 of the score's; .992 and .097 at 12 times; .989 and .117
at 16 times, just short of the .99 wanted there. Leave-one-out predicts these errors within 3 %.
Lanczos has .993 at 5 times the cost of exact scores, a plain row sketch .982 at half of it.
`spectra`, real spectra with random singular vectors, where a sketch has its spectrum alone: .971 at
8 times fewer VJPs on ViT-S/14, .991 on ViT-L/14. Rescoring the lowest 5 % of 500 images exactly
finds all of the exact lowest 1 % for 7 times fewer VJPs in all, but 85 % of the lowest 5 %.
`limit`: there, a nonlinear regression on 6,000 simulated images leaves 2 to 17 % less error than
the sketch's on 128: about all that is left to be had from p rows alone.
`embedded`, by wall clock, K = 64: rank correlation .975 in a quarter of the exact score's time,
without the depth features: there they cost more than they give.

On CPU cores shared with other work: 14, 11 and 4 minutes, and 8 for the embedded encoder.
"""

import argparse
import time
from pathlib import Path

import frontier_report as report
import frontier_text as text
import jax

UNITS = "cost / cost of exact (VJP 1, JVP 1.5)"
CLOCK = "time / time of exact"


def spectra(args: argparse.Namespace) -> tuple[str, dict, str, dict, str]:
    """(name, result, Markdown, panels of the figure, label of its x-axis)."""
    import frontier_spectra

    result = frontier_spectra.run(args.data, args.quick)
    panels = {name: found["rows"] for name, found in result["tables"].items()}
    return "spectra", result, text.spectra(result), panels, UNITS


def grams(args: argparse.Namespace) -> tuple[str, dict, str, dict, str]:
    """Likewise."""
    import frontier_grams

    seeds = 1 if args.quick else 4
    result = frontier_grams.run(args.data / frontier_grams.FILE, seeds) | {"seeds": seeds}
    panels = {"ViT-S/14, 112 px": [*result["rows"], *result["ablations"]]}
    return "grams", result, text.grams(result), panels, UNITS


def limit(args: argparse.Namespace) -> tuple[str, dict, str, dict, str]:
    """Likewise, without a figure."""
    import frontier_limit

    result = frontier_limit.run(args.data)
    return "limit", result, frontier_limit.text(result), {}, UNITS


def embedded(args: argparse.Namespace) -> tuple[str, dict, str, dict, str]:
    """Likewise."""
    import frontier_encoders

    from jepa_jax import load_encoder

    result = frontier_encoders.run_embedded(load_encoder("embedded"), args.repeats)
    result |= {"name": "the embedded encoder", "repeats": args.repeats}
    panels = {"embedded encoder": result["rows"]}
    return "embedded", result, text.encoder("embedded", result), panels, CLOCK


def encoder(args: argparse.Namespace) -> tuple[str, dict, str, dict, str]:
    """Likewise."""
    import frontier_encoders

    from jepa_jax import load_encoder

    loaded = load_encoder(args.encoder)
    result = frontier_encoders.run_folder(
        loaded, args.images, args.calibration, args.count, args.repeats
    )
    # A checkpoint's folder may be anywhere: its last part is its name.
    result |= {"name": Path(args.encoder).name, "repeats": args.repeats}
    panels = {result["name"]: result["rows"]}
    return args.name, result, text.encoder(args.name, result), panels, CLOCK


def main() -> None:
    """The command line of this script; see its docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for work in (spectra, grams, limit, embedded, encoder):
        command = commands.add_parser(work.__name__)
        command.set_defaults(work=work)
        command.add_argument("--out", type=Path, default=report.RESULTS, help="a folder")
        if work in (spectra, grams, limit):
            command.add_argument("--data", type=Path, required=True, help="the folder of the data")
        if work in (spectra, grams):
            command.add_argument("--quick", action="store_true", help="fewer images or draws")
        if work in (embedded, encoder):
            command.add_argument("--repeats", type=int, default=5, help="turns to time")
    command.add_argument("--encoder", required=True, help="a checkpoint's folder or hub name")
    command.add_argument("--images", required=True, help="a source of images")
    command.add_argument("--calibration", type=int, default=64)
    command.add_argument("--count", type=int, default=32, help="images to test on")
    command.add_argument("--name", default="encoder", help="of the results' files")
    args = parser.parse_args()

    began = time.perf_counter()
    with jax.default_matmul_precision("highest"):
        name, result, markdown, panels, xlabel = args.work(args)
    result["versions"] = report.versions()
    result["device"] = jax.devices()[0].platform
    result["seconds"] = time.perf_counter() - began
    path = report.write(name, markdown, result, args.out)
    if panels:
        report.draw(path, panels, xlabel)
    print(f"{path.with_suffix('.md')}: {result['seconds']:.0f} s")


if __name__ == "__main__":
    main()
