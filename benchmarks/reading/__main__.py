"""How many cores does reading take, to feed an accelerator?

    python -m benchmarks.reading [--images 24] [--side 224] [--threads 1,2,4] [--out FOLDER]

JPEGs of camera size (4032 x 3024 pixels, photographs of scikit-image scaled up, with noise), read
from a folder, decoded and preprocessed as a run does it, in so many threads. Milliseconds of a core
an image, of decoding and of preprocessing; images a second by threads, medians of five. Writes
reading.md and .json.
"""

import argparse
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--side", type=int, default=224, help="pixels of the encoder's input")
    parser.add_argument("--threads", default="1,2,4", help="with commas between")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.reading import rates

    threads = [int(n) for n in args.threads.split(",")]
    found = rates.run(args.images, args.side, threads)
    shown = rates.page(found)
    command = f"python -m {__package__} --images {args.images} --side {args.side}"
    write(args.out, "reading", command, found, shown, libraries=("pillow", "transformers"))
    print(shown)


if __name__ == "__main__":
    main()
