"""The images: Debian's stamps (cut-out photographs and drawings), and what Python packages hold."""

import itertools
from pathlib import Path

import numpy as np

from benchmarks.precision import groups
from jepa_jax.data import Record, open_source

# In distribution, and calibrated on with the others.
INSIDE = "animals"
# A group, the folders of the package's stamps that are in it, and its most images.
STAMPS = (
    (INSIDE, ("animals",), 150),
    ("food and plants", ("food", "plants"), 60),
    ("vehicles", ("vehicles",), 35),
    ("signs", ("symbols/alphabets", "symbols/math", "symbols/music"), 20),
)
PACKAGED = {"photographs": 40, "textures": 20, "odd": 20}


def records(stamps: Path, count: int, side: int) -> list[Record]:
    """`count` images of all groups, or all that there are, each group by its share.

    `stamps`: the folder of the package `tuxpaint-stamps-default`. The same whatever the count; a
    larger count adds to it. Raises `FileNotFoundError` where the stamps are not there.
    """
    kinds = [stamps_in(stamps, *kind) for kind in STAMPS]
    packaged = groups.records(max(PACKAGED.values()), side)
    for group, most in PACKAGED.items():
        kinds.append([r for r in packaged if r.source == group][:most])
    # Each image's place within its group: all groups begin and end together.
    placed = [((i + 0.5) / len(kind), r.id, r) for kind in kinds for i, r in enumerate(kind)]
    return [record for _, _, record in sorted(placed, key=lambda p: p[:2])][:count]


def stamps_in(
    root: Path, group: str, folders: tuple[str, ...], most: int | None = None
) -> list[Record]:
    """At most so many of the stamps in these folders of `root`, in one order."""
    found = []
    for folder in folders:
        if not (root / folder).is_dir():
            raise FileNotFoundError(
                f"no folder {folder} of Debian's tuxpaint-stamps-default in {root}"
            )
        # Every image once: not the flipped and mirrored variants of some.
        stored = [r for r in open_source(root / folder) if not _variant(r.id)]
        found += [Record(f"{folder}/{r.id}", group, r.load) for r in stored]
    order = np.random.default_rng(0).permutation(len(found))
    return [found[i] for i in itertools.islice(order, most)]


def _variant(name: str) -> bool:
    return Path(name).stem.endswith(("_mirror", "_flip", "_mirror_flip"))
