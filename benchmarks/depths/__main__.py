"""What do scores at several depths cost, over the score at one?

    python -m benchmarks.depths --encoder NAME_OR_FOLDER [--image-size 56] [--images 2]
        [--depths 4,8] [--repeats 3] [--out FOLDER]

CPU-seconds an image of the compiled program, and VJPs' and JVPs' operations, of the exact score and
of `Projection`: by the encoder's own embedding, and by the CLS tokens of inner blocks besides. And
by how much `Projection` is off the exact score, over its stated standard error. Writes NAME-SIZE.md
and .json. Needs scikit-image, whose photographs are scored.
"""

import argparse
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--encoder", required=True, help="a name of the hub, or a folder")
    parser.add_argument("--image-size", type=int, default=56, help="pixels")
    parser.add_argument("--images", type=int, default=2, help="photographs")
    parser.add_argument("--depths", default="4,8", help="blocks, beside the whole encoder")
    parser.add_argument("--repeats", type=int, default=3, help="turns to time")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.depths.comparison import compare, page

    inner = [f"cls@{int(depth)}" for depth in args.depths.split(",")]
    found = compare(args.encoder, args.image_size, inner, args.images, args.repeats)
    name = f"{Path(args.encoder).name}-{args.image_size}"
    command = (
        f"python -m {__package__} --encoder {Path(args.encoder).name} --image-size "
        f"{args.image_size} --images {args.images} --depths {args.depths} --repeats {args.repeats}"
    )
    shown = page(found)
    write(args.out, name, command, found, shown, libraries=("scikit-image",))
    print(shown)


if __name__ == "__main__":
    main()
