"""Which copies of an image do a report and a selection find as near-identical?

    python -m benchmarks.duplicates [--encoder embedded] [--image-size N] [--stamps FOLDER]
        [--name NAME] [--out FOLDER]

Photographs of scikit-image and scikit-learn, and with `--stamps` those of Debian's package
`tuxpaint-stamps-default` (animals, food and plants); of each a copy of every kind, from a JPEG of
quality 30 to a crop. Recall: the share of copies that are linked to their original, by the
embeddings' cosine at the default threshold, by the perceptual hash, and by either, which is what
reports do. False pairs: of different originals. Also of 1,000 MNIST digits, and by imagehash's
crop-resistant hash, which is not used. Writes NAME.md and .json.
"""

import argparse
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--encoder", default="embedded", help="or a checkpoint's folder")
    parser.add_argument("--image-size", type=int, help="pixels of the encoder's input")
    parser.add_argument("--stamps", type=Path, help="the folder of Debian's stamps")
    parser.add_argument("--name", default="embedded", help="of the result's files")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.duplicates import copies

    command = f"python -m {__package__}"
    command += "" if args.encoder == "embedded" else " --encoder FOLDER"
    command += f" --image-size {args.image_size}" if args.image_size else ""
    command += " --stamps FOLDER" if args.stamps else ""
    found = copies.run(args.encoder, args.image_size, args.stamps)
    shown = copies.page(found)
    write(args.out, args.name, command, found, shown, libraries=("pillow", "imagehash"))
    print(shown)


if __name__ == "__main__":
    main()
