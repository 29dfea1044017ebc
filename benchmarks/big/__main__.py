"""A run over many records with a scorer that does nothing: what is left is the driver's own work.

    python -m benchmarks.big [--records 1000000] [--workers 1] [--out FOLDER]

A list of that many paths goes through `Scorer.run` and the hand-out of shards that clusters use
(`jepa_jax.scoring.handing_out`): listed, pickled, sent to worker processes that write rows without
reading an image, and the rows taken back. Then the last hundredth of the files is removed, and the
same run started again. Writes a page and its figures: big.md and .json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1, help="processes that take the shards")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    from benchmarks.big.page import page

    with tempfile.TemporaryDirectory() as work:
        top = Path(work)
        with (top / "images.txt").open("w") as file:
            for i in range(args.records):
                file.write(f"photos/{i // 1000:04d}/image-{i:07d}.jpg\n")
        whole = _run(top, args.workers)
        shards = sorted((top / "scores").glob("scores-*.parquet"))
        for path in shards[-max(1, len(shards) // 100) :]:
            path.unlink()
        rerun = _run(top, args.workers)
    found = {"records": args.records, "workers": args.workers, "whole": whole, "rerun": rerun}
    write(args.out, "big", f"python -m {__package__}", found, page(found), libraries=("pyarrow",))
    print(page(found))


def _run(top: Path, workers: int) -> dict:
    """What a fresh process measures of a run in this folder."""
    command = [sys.executable, "-m", "benchmarks.big.driver", str(top), str(workers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
