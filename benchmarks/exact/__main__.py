"""Exact scores: PyTorch's Listing 1 and best `torch.func`, `jax.jacrev` + SVD, and ours.

    python -m benchmarks.exact [--quick] [--repeats 3] [--out FOLDER]

The same random weights and images in every implementation, in one run, in turn: ViT-S/14 at 224 px
(K = 384, D = 150528) and a smaller one. Random weights are right for timing; agreement of the
scores is printed beside it. Every implementation runs in its own process, which gives its peak
memory, `--repeats` times in turn with the others: machines are noisy, so the ratios within one turn
are what to quote. The sweeps over chunks and batches behind `jepa_jax/scoring/batch_sizes.py` come
first. Ours by a sketch of 32 VJPs stands beside them, for its time.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def show(shapes: dict[str, dict]) -> None:
    """The table of every shape, on the terminal."""
    for name, found in shapes.items():
        print(f"\n{name}: K = {found['K']}, D = {found['D']}")
        print(f"{'':42} {'s/image':>9} {'faster':>8} {'ceiling':>8} {'memory':>8}")
        for label, row in found["implementations"].items():
            print(
                f"{label:42} {row['seconds_an_image']:9.3f} "
                f"{row['times_faster_than_listing_1']:7.2f}x "
                f"{row['fraction_of_matmul_ceiling']:8.1%} {row['peak_memory_over_rows']:7.2f}x"
            )


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the smaller shape alone")
    args = parser.parse_args(arguments)

    import jax

    from benchmarks.exact.comparison import SHAPES, compare, make_checkpoint

    command = f"python -m benchmarks.exact --repeats {args.repeats}" + " --quick" * args.quick
    shapes = {}
    for name in reversed(SHAPES) if not args.quick else [list(SHAPES)[-1]]:
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            make_checkpoint(Path(folder), SHAPES[name])
            shapes[name] = compare(Path(folder), args.repeats)
        record = {"shapes": shapes}
        # The scores' agreement is in their last digits.
        write(args.out, jax.default_backend(), command, record, libraries=("torch",), digits=12)
    show(shapes)


if __name__ == "__main__":
    main()
