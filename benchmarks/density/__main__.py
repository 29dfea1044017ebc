"""Whether the score is a density, where the density is known.

    python -m benchmarks.density NAME ... [--out FOLDER]

runs experiments by name, each of which writes a page with its table, its figures and a plot:
NAME.md, .json and .png. Encoders are trained once and kept in build/density/; seeds are fixed.
"""

import argparse
import importlib
import time
from pathlib import Path

from benchmarks.shared.results import folder_of, write

EXPERIMENTS = {
    "plane": "a 2-D mixture: the score alone, and with the second term",
    "width": "how the correlation depends on K",
    "objectives": "which part of the objective carries the density",
    "convergence": "from when in a training the score can be trusted",
    "views": "how fast the mean over views settles",
    "mixture32": "a mixture in 32 dimensions",
    "digits": "real images, or only their complexity",
}


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}",
        description=__doc__.splitlines()[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:12} {what}" for name, what in EXPERIMENTS.items()),
    )
    parser.add_argument("names", nargs="+", choices=EXPERIMENTS, metavar="NAME")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.density.trained import keep_compiled

    keep_compiled()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names:
        began = time.perf_counter()
        record, page = importlib.import_module(f"{__package__}.{name}").run(args.out)
        record = {"seconds": time.perf_counter() - began} | record
        command = f"python -m {__package__} {name}"
        libraries = ("flax", "optax")
        write(args.out, name, command, record, page, libraries=libraries, digits=8)
        print(page, flush=True)


if __name__ == "__main__":
    main()
