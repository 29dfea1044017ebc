"""Time, memory and size of `report` and `select` at 100,000 images, and the README's picture.

    python -m benchmarks.report scale [--rows 100000] [--out FOLDER]
    python -m benchmarks.report browse [--rows 1000000] [--out FOLDER]
    python -m benchmarks.report screenshot [--keep FOLDER] [--out FOLDER]

`scale`: scores are drawn at random; the images are real: 100,000 links to JPEG files cut at random
out of the photographs in scikit-image and scikit-learn, in 200 classes, some of them broken. Each
command runs in a process of its own, as a user would run it, on two cores where there are more.
With a Chromium and its driver on the PATH, the time until the page is filled is measured, too.
`browse`: CPU seconds of pages that `jepa-jax browse` serves of so many rows, without pictures.
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
    scale = commands.add_parser("scale", help="time, memory and size")
    scale.add_argument("--rows", type=int, default=100_000)
    browse = commands.add_parser("browse", help="pages of a local server")
    browse.add_argument("--rows", type=int, default=1_000_000)
    screenshot = commands.add_parser("screenshot", help="the picture of a report; needs Chromium")
    screenshot.add_argument("--keep", type=Path, help="keeps images, scores and report there")
    for command in (scale, browse, screenshot):
        command.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    if args.work == "scale":
        from benchmarks.report import scale

        command = f"python -m {__package__} scale --rows {args.rows}"
        write(args.out, "scale", command, scale.run(args.rows), libraries=("pyarrow", "pillow"))
    elif args.work == "browse":
        from benchmarks.report import browsing

        command = f"python -m {__package__} browse --rows {args.rows}"
        libraries = ("duckdb", "starlette", "pyarrow")
        write(args.out, "browse", command, browsing.run(args.rows), libraries=libraries)
    else:
        from benchmarks.report import screenshot

        args.out.mkdir(parents=True, exist_ok=True)
        screenshot.make(args.out / "screenshot.png", args.keep)


if __name__ == "__main__":
    main()
