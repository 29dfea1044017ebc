"""Cleaning a messy data set: does removing the lowest scores find what does not belong?

    python -m benchmarks.curation [--size 1000] [--seeds 5] [--out FOLDER]

writes a page with tables, its figures and a plot: curation.md, .json and .png.
"""

import argparse
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--size", type=int, default=1000, help="images in the messy set")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.curation import cleaning, pages

    result = {"encoder": Path(args.encoder).name}
    result |= cleaning.run(args.encoder, args.size, args.seeds)
    command = f"python -m {__package__}"
    stem = write(args.out, "curation", command, result, pages.page(result))
    pages.draw(result, stem.with_suffix(".png"))
    print(f"{stem.with_suffix('.md')}: {result['seconds']:.0f} s")


if __name__ == "__main__":
    main()
