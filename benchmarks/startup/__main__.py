"""What commands and imports cost before they do anything: CPU seconds and peak memory.

    python -m benchmarks.startup [--repeats 5] [--out FOLDER]

Each in a fresh process, in turn with the others: `jepa-jax --help`, `show`, `select` and `report`
on the scores of the bundled samples, `import jepa_jax` and `import jepa_jax.report`, beside
`import numpy, pyarrow, typer, rich`, which all of them need. Writes a page with the table and its
figures: startup.md and .json.
"""

import argparse
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns; medians are shown")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.startup import costs

    found = costs.run(args.repeats)
    page = costs.page(found)
    libraries = ("pyarrow", "typer", "rich")
    write(args.out, "startup", f"python -m {__package__}", found, page, libraries=libraries)
    print(page)


if __name__ == "__main__":
    main()
