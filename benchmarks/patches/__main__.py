"""Does a patch's share in the volume say what masking the patch does to the score?

    python -m benchmarks.patches --encoder NAME_OR_FOLDER [--image-size 56] [--images 8]
        [--out FOLDER]

Of crops of photographs: the shares of all patches (`jepa_jax.estimators.patch_shares`), exactly and
from a few random rows, beside the exact score once each patch is masked, by its own mean colour and
by the mean of all images. As many exact scores an image as twice its patches and one. Writes
NAME-SIZE.md and .json. Needs scikit-image and scikit-learn, whose packages have photographs.
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
    parser.add_argument("--images", type=int, default=8, help="crops of photographs")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.patches import masking
    from benchmarks.precision.groups import image
    from jepa_jax import load_encoder

    encoder = load_encoder(args.encoder, image_size=args.image_size)
    inputs = [encoder.preprocess(image("photographs", i, 0)) for i in range(args.images)]
    found = masking.run(encoder, inputs)
    name = Path(args.encoder).name
    found |= {"encoder": name, "image_size": args.image_size}
    command = (
        f"python -m {__package__} --encoder {name} --image-size {args.image_size} "
        f"--images {args.images}"
    )
    shown = masking.page(found)
    stem = f"{name}-{args.image_size}"
    write(args.out, stem, command, found, shown, libraries=("scikit-image",))
    print(shown)


if __name__ == "__main__":
    main()
