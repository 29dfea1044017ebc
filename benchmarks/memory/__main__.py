"""Memory of a score, by encoder and estimator, and what keeping less of it costs in time.

    python -m benchmarks.memory planned [--quick] [--out FOLDER]
    python -m benchmarks.memory recomputing [--repeats 5] [--out FOLDER]
    python -m benchmarks.memory clips [--planned] [--out FOLDER]

`planned` compiles the score of one image by the default plan, without weights, and prints the peak
of XLA's temporary buffers, over the K x D float32 rows for the exact score, and in megabytes for
the others where those rows do not fit in 4 GiB. `recomputing` times chunks of cotangents through
blocks of ViT-L that keep what derivatives need, and through blocks that keep their inputs alone.
`clips` plans the score of a clip of 16 frames by a V-JEPA 2 ViT-L, and runs a few steps of each, in
a process of its own.
"""

import argparse
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(dest="work", required=True)
    planned = commands.add_parser("planned", help="XLA's plans, by encoder and estimator")
    planned.add_argument("--quick", action="store_true", help="the first encoder alone")
    recomputing = commands.add_parser("recomputing", help="the price of keeping less")
    recomputing.add_argument("--repeats", type=int, default=5, help="turns to time")
    clips = commands.add_parser("clips", help="a score of a clip")
    clips.add_argument("--planned", action="store_true", help="the plans alone")
    for command in (planned, recomputing, clips):
        command.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    import jax

    if args.work == "planned":
        from benchmarks.memory import planned

        found = planned.run(args.quick)
    elif args.work == "clips":
        from benchmarks.memory import clips

        found = clips.run(not args.planned)
    else:
        from benchmarks.memory import recomputing

        with jax.default_matmul_precision("highest"):
            found = recomputing.run(args.repeats)
    name = f"{args.work}-{jax.default_backend()}"
    stem = write(args.out, name, f"python -m benchmarks.memory {args.work}", found)
    print(stem.with_suffix(".json"))


if __name__ == "__main__":
    main()
