"""Detecting outliers: the JEPA-SCORE beside label-free baselines, without leakage.

    python -m benchmarks.detection embedded
    python -m benchmarks.detection spectra --data FOLDER
    python -m benchmarks.detection leakage [--data FOLDER]
    python -m benchmarks.detection pretrained --encoder ENCODER --stamps STAMPS --jacobians FOLDER \
        --scores SCORES [--fashion FASHION] [--cells CELLS]
    python -m benchmarks.detection folders --encoder facebook/dinov2-small \
        --reference cifar10/a --inliers cifar10/b \
        --outliers svhn --outliers cifar100 --outliers dtd --out RESULTS

each write a page with tables and its figures, NAME.md and .json in results/ or in the folder of
`--out`; `embedded`, `pretrained` and `folders` a plot too.
"""

import argparse
import time
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def embedded(args: argparse.Namespace):
    """The toy encoder on digits and on images that Python packages ship."""
    from benchmarks.detection import evaluations

    return evaluations.embedded(args.count)


def spectra(args: argparse.Namespace):
    """Published scores of DINOv2, with intervals."""
    from benchmarks.detection import published

    return published.run(args.data), None


def leakage(args: argparse.Namespace):
    """Fresh images of the same distribution, fairly and as published."""
    from benchmarks.detection import leaky

    return leaky.run(args.data), None


def folders(args: argparse.Namespace):
    """Any sources by any encoder, the published figures beside them."""
    from benchmarks.detection import evaluations

    sources = args.reference, args.inliers, args.outliers
    return evaluations.folders(args.encoder, *sources, args.out / "scores", args.limit)


def pretrained(args: argparse.Namespace):
    """A pretrained ViT-S/14 at 112 px on real images, spoiled and others."""
    from benchmarks.detection import pretrained

    given = pretrained.Given(args.stamps, args.jacobians, args.fashion, args.cells)
    return pretrained.run(args.encoder, given, args.scores, args.count)


COMMANDS = {
    embedded: "embedded",
    spectra: "spectra --data FOLDER",
    leakage: "leakage --data FOLDER",
    pretrained: "pretrained --encoder ENCODER --stamps STAMPS --jacobians FOLDER --fashion FASHION "
    "--cells CELLS --scores SCORES",
    folders: "folders --encoder ENCODER --reference A --inliers B --outliers C ...",
}


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True)
    for work in COMMANDS:
        command = commands.add_parser(work.__name__, help=work.__doc__)
        command.set_defaults(work=work)
        command.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
        if work in (embedded, pretrained):
            most = 200 if work is embedded else 40
            command.add_argument("--count", type=int, default=most, help="images an outlier set")
        if work is pretrained:
            command.add_argument(
                "--encoder", required=True, help="benchmarks.shared.real_encoder's"
            )
            command.add_argument("--scores", type=Path, required=True, help="kept here; goes on")
            for name, needed, where in (
                ("stamps", True, "of Debian's tuxpaint-stamps-default"),
                ("jacobians", True, "of benchmarks.pretrained record, 112 px"),
                ("fashion", False, "of Debian's dataset-fashion-mnist"),
                ("cells", False, "of the package elpv-dataset"),
            ):
                command.add_argument(f"--{name}", type=Path, required=needed, help=where)
        if work in (spectra, leakage):
            command.add_argument("--data", type=Path, required=work is spectra, help="a folder")
        if work is folders:
            for name in ("encoder", "reference", "inliers"):
                command.add_argument(f"--{name}", required=True)
            command.add_argument("--outliers", action="append", required=True)
            command.add_argument("--limit", type=int, help="the first N images of each source")
    args = parser.parse_args(arguments)

    from benchmarks.detection import curves, pages
    from jepa_jax.evaluation.figure import draw

    began = time.perf_counter()
    result, comparison = args.work(args)
    record = result | {"seconds": time.perf_counter() - began}
    name = args.work.__name__
    page = getattr(pages, name)(result, comparison)
    stem = write(args.out, name, f"python -m {__package__} {COMMANDS[args.work]}", record, page)
    if comparison is not None:
        draw(comparison, stem.with_suffix(".png"))
    if args.work is pretrained:
        curves.draw(record, stem.with_name(f"{name}-curves.png"))
    print(f"{stem.with_suffix('.md')}: {record['seconds']:.0f} s")


if __name__ == "__main__":
    main()
