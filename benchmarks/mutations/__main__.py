"""Damaged and odd images: does one crash, hang or lose its row?

    python -m benchmarks.mutations [--images 1000] [--seed 0] [--out FOLDER]

Each image is read in a process of its own kind, with a time limit, and then all of them are scored
in one run. Writes a page with the counts and its figures: mutations.md and .json.
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
    parser.add_argument("--images", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.mutations import trials
    from benchmarks.mutations.mutants import mutants

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        folder.mkdir()
        files = list(mutants(args.images, args.seed))
        for file in files:
            (folder / file.name).write_bytes(file.data)
        found = trials.read_each(folder, files)
        run = trials.score_all(folder, Path(temporary) / "scores")
    record = trials.record(files, found, run)
    page = trials.page(record)
    command = f"python -m {__package__} --images {args.images} --seed {args.seed}"
    write(args.out, "mutations", command, record, page, libraries=("pillow",))
    print(page)


if __name__ == "__main__":
    main()
