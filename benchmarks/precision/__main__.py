"""What does a lower precision of the products change of a score?

    python -m benchmarks.precision --encoder NAME_OR_FOLDER [--image-size 56] [--images 34]
        [--split-images 8] [--precisions bf16,...] [--scores FOLDER] [--out FOLDER]

Exact scores of the same images at every precision, beside float32's: bias, spread, ranks, and what
separates photographs from odd images. The precisions mean the same numbers on every platform, so
that a CPU measures what a GPU or TPU will find; times are not measured here. With `--scores`, each
precision's scores are a folder there, which the same command continues; `--images 0` makes the page
of those that are there, also beside a run that is under way. Writes NAME-SIZE.md and .json. Needs
scikit-image and scikit-learn, whose packages have photographs and textures.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--encoder", required=True, help="a name of the hub, or a folder")
    parser.add_argument("--image-size", type=int, default=56, help="pixels")
    parser.add_argument("--images", type=int, default=34, help="of each of three groups")
    parser.add_argument(
        "--split-images", type=int, default=8, help="of each group, at tf32x3 and bf16x3"
    )
    parser.add_argument("--precisions", help="beside highest, with commas between; default: all")
    parser.add_argument("--scores", type=Path, help="a folder of what is scored, to continue")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.precision.comparison import compute, record, scores_in
    from benchmarks.precision.page import page
    from jepa_jax import load_encoder
    from jepa_jax.precisions import PRECISIONS

    asked = args.precisions.split(",") if args.precisions else list(PRECISIONS[1:])
    if unknown := set(asked) - set(PRECISIONS):
        parser.error(f"--precisions must be of {','.join(PRECISIONS)}, got {','.join(unknown)}")
    encoder = load_encoder(args.encoder, image_size=args.image_size)
    with tempfile.TemporaryDirectory() as own:
        folder = args.scores or Path(own)
        for precision in ["highest", *(p for p in asked if p != "highest")]:
            count = min(args.images, args.split_images) if "x3" in precision else args.images
            if count:
                compute(encoder, folder, precision, count)
        found = record(encoder, scores_in(folder))
    name = f"{Path(args.encoder).name}-{args.image_size}"
    command = (
        f"python -m {__package__} --encoder {Path(args.encoder).name} --image-size "
        f"{args.image_size} --images {args.images} --split-images {args.split_images}"
    )
    command += f" --precisions {args.precisions}" * bool(args.precisions)
    shown = page(found)
    write(args.out, name, command, found, shown, libraries=("scikit-image",))
    print(shown)


if __name__ == "__main__":
    main()
