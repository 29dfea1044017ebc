"""Reads the images whose names come on standard input, and says what came of each.

python -m benchmarks.mutations.reader FOLDER
"""

import json
import sys
import warnings
from pathlib import Path

from jepa_jax.data import UnreadableImage, decode


def main(folder: Path) -> None:
    """One line of JSON for each line read, and one before the first."""
    warnings.simplefilter("ignore")  # Pillow's, on damaged metadata.
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(read(folder / line.rstrip("\n"))), flush=True)


def read(path: Path) -> dict[str, str]:
    """The outcome of one image, and what an error said."""
    try:
        image = decode(path)
    except UnreadableImage as error:
        return {"outcome": "unreadable", "said": str(error)}
    except Exception as error:
        return {"outcome": "other error", "said": f"{type(error).__name__}: {error}"}
    if image.mode != "RGB" or image.tobytes() is None:
        return {"outcome": "other error", "said": f"mode {image.mode}"}
    return {"outcome": "ok", "said": ""}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
