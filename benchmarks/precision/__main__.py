"""What does a lower precision of the products change of a score?

    python -m benchmarks.precision --encoder NAME_OR_FOLDER [--image-size 56] [--images 16]
        [--split-images 8] [--out FOLDER]

Exact scores of the same images at every precision, beside float32's: bias, spread, ranks, and what
separates photographs from odd images. The precisions mean the same numbers on every platform, so
that a CPU measures what a GPU or TPU will find; times are not measured here. Writes a page and its
figures: NAME-SIZE.md and .json. Needs scikit-image, whose package has photographs and textures.
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
    parser.add_argument("--images", type=int, default=16, help="of each of three groups")
    parser.add_argument(
        "--split-images", type=int, default=8, help="of each group, at tf32x3 and bf16x3"
    )
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.precision.comparison import page, record, scores_at_every_precision
    from benchmarks.precision.groups import groups
    from jepa_jax import load_encoder

    encoder = load_encoder(args.encoder, image_size=args.image_size)
    images = groups(args.images, args.image_size)
    scores = scores_at_every_precision(encoder, images, args.split_images)
    found = record(encoder, scores, args.images)
    name = f"{Path(args.encoder).name}-{args.image_size}"
    command = (
        f"python -m {__package__} --encoder {Path(args.encoder).name} --image-size "
        f"{args.image_size} --images {args.images} --split-images {args.split_images}"
    )
    shown = page(found)
    write(args.out, name, command, found, shown, libraries=("scikit-image",))
    print(shown)


if __name__ == "__main__":
    main()
