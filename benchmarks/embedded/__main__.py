"""How well the embedded encoder's exact score tells held-out digits from odd images.

    python -m benchmarks.embedded [--count 300] [--seed 0] [--out FOLDER]
    python -m benchmarks.embedded --encoder FOLDER --count 100 --name embedded-2000-steps
    python -m benchmarks.embedded --theory --count 100 [--variant NAME=FOLDER ...]

prints one line a kind of image and writes NAME.json: the AUROC (probability that a held-out digit
scores higher than an image of the kind: one-sided, higher = typical) of the trained encoder and of
the same network with random parameters, and quantiles of the trained one's score. "training digits"
near .5 says that the score does not know its training images by heart. `--theory`: what fading and
blurring add to the score, and what the embedding's density adds to the AUROC, of the encoder and of
variants of its training; writes theory.md and .json.
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
    parser.add_argument("--count", type=int, default=300, help="a multiple of 50, at most 500")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--theory", action="store_true", help="why it ranks as it does")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--name", default="embedded", help="of the result's file")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.embedded import kinds, theory

    if args.theory:
        variants = dict(variant.split("=", 1) for variant in args.variant)
        given = "".join(f" --variant '{name}=FOLDER'" for name in variants)
        command = f"python -m {__package__} --theory --count {args.count} --seed {args.seed}{given}"
        found = theory.run({"embedded": args.encoder} | variants, args.count, args.seed)
        page = theory.page(found)
        write(args.out, "theory", command, found, page, libraries=("pillow",))
        print(page)
        return
    other = "" if args.encoder == "embedded" else " --encoder FOLDER"
    command = f"python -m {__package__}{other} --count {args.count} --seed {args.seed}"
    found = kinds.run(args.encoder, args.count, args.seed)
    stem = write(args.out, args.name, command, found, libraries=("pillow",))
    print(stem.with_suffix(".json"))


if __name__ == "__main__":
    main()
