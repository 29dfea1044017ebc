"""No leakage: sets of images are compared by their decoded pixels, not by their names."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jepa_jax.data import Record, open_source
from jepa_jax.data.storage import Storage, StorageFailed

# Two images are near-duplicates where their grey thumbnails differ by no more than this root mean
# square, of 255: a copy that was recompressed or resized differs by 1 to 3.
NEAR = 4.0
_SIDE = 32
_WORKERS = 8


@dataclasses.dataclass(frozen=True)
class Fingerprints:
    """Of a set's readable images: `ids`, SHA-256 of the decoded RGB pixels, grey thumbnails."""

    ids: tuple[str, ...]
    hashes: tuple[str, ...]
    thumbnails: UInt8[np.ndarray, "n pixels"]

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class Shared:
    """Pairs of ids of one image that is in two sets, identical to the pixel or nearly so."""

    first: str
    second: str
    identical: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str], ...]


class Leakage(ValueError):
    """Sets that must be disjoint share images; `shared` has them.

    >>> from jepa_jax.evaluation import Leakage
    >>> from jepa_jax.evaluation.shared_images import Shared
    >>> error = Leakage([Shared("inliers", "reference", identical=(("a.png", "b.png"),), near=())])
    >>> str(error).splitlines()[-1].strip()
    "1 of 'inliers' are in 'reference' too, such as 'a.png' = 'b.png'"
    """

    def __init__(self, shared: list[Shared]):
        self.shared = shared
        lines = [
            f"{len(s.identical)} of {s.first!r} are in {s.second!r} too, such as "
            f"{s.identical[0][0]!r} = {s.identical[0][1]!r}"
            for s in shared
        ]
        super().__init__(
            "the sets must not share images (compared by their decoded pixels); give others, or "
            "leave shared images out of the tested sets (--drop-shared)\n  " + "\n  ".join(lines)
        )


def fingerprints(
    source: Any, *, limit: int | None = None, only: Iterable[str] | None = None
) -> Fingerprints:
    """The fingerprints of a source's images, `only` those of these ids where given.

    What cannot be decoded has none. Raises `jepa_jax.data.storage.StorageFailed` where images could
    not be read for another reason than themselves, after new tries: without them nobody could say
    whether sets share images. Cost: decoding every image once; 1 kB of memory an image.

    >>> import numpy as np
    >>> from PIL import Image
    >>> from jepa_jax.data import Record
    >>> red = [Record("a", "memory", lambda: Image.new("RGB", (4, 4), "red"))]
    >>> found = fingerprints(red)
    >>> found.ids, len(found.hashes[0])
    (('a',), 64)
    """
    wanted = None if only is None else set(only)
    opened = open_source(source)
    fingerprint = partial(_fingerprint, Storage.of(opened))
    records = itertools.islice(iter(opened), limit)
    chosen = (r for r in records if wanted is None or r.id in wanted)
    ids, hashes, thumbnails = [], [], []
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="fingerprint") as pool:
        # In blocks: `map` reads all that it is given ahead.
        for block in iter(lambda: list(itertools.islice(chosen, 64 * _WORKERS)), []):
            for record, found in zip(block, pool.map(fingerprint, block), strict=True):
                if found is not None:
                    ids.append(record.id)
                    hashes.append(found[0])
                    thumbnails.append(found[1])
    return Fingerprints(
        tuple(ids),
        tuple(hashes),
        np.array(thumbnails, np.uint8).reshape(len(ids), _SIDE * _SIDE),
    )


def _fingerprint(storage: Storage, record: Record) -> tuple[str, np.ndarray] | None:
    try:
        image = storage.load(record).convert("RGB")
    except StorageFailed:
        raise
    except Exception:  # Unreadable: the row of scores says why.
        return None
    digest = hashlib.sha256(f"{image.size}".encode())
    digest.update(image.tobytes())
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return digest.hexdigest(), np.asarray(grey).ravel()


def shared_images(first: str, a: Fingerprints, second: str, b: Fingerprints) -> Shared:
    """What two sets share. Identical: the same size and pixels. Near: see `NEAR`; crops, flips and
    changed colours are not found.

    Cost: len(a) x len(b) x 1024 multiplications.
    """
    places = {digest: i for i, digest in enumerate(b.hashes)}
    identical = [
        (a.ids[i], b.ids[places[digest]]) for i, digest in enumerate(a.hashes) if digest in places
    ]
    same = {pair[0] for pair in identical}
    near = []
    if len(a) and len(b):
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=1, algorithm="brute")
        search.fit(b.thumbnails.astype(np.float32))
        distance, place = search.kneighbors(a.thumbnails.astype(np.float32))
        rms = distance[:, 0] / _SIDE
        near = [
            (a.ids[i], b.ids[place[i, 0]])
            for i in np.flatnonzero(rms <= NEAR)
            if a.ids[i] not in same
        ]
    return Shared(first, second, tuple(identical), tuple(near))


def check_disjoint(
    reference: Mapping[str, Fingerprints],
    inliers: Mapping[str, Fingerprints],
    outliers: Mapping[str, Fingerprints],
) -> list[Shared]:
    """Every pair of sets that must not share images, those that share none left out.

    Reference sets (calibration images among them) against all that is tested on, and inliers
    against outliers; two sets of outliers are never compared with each other, and may overlap.
    Each argument: name to fingerprints.

    >>> from PIL import Image
    >>> from jepa_jax.data import Record
    >>> from jepa_jax.evaluation import check_disjoint, fingerprints
    >>> red = fingerprints([Record("a", "one", lambda: Image.new("RGB", (4, 4), "red"))])
    >>> again = fingerprints([Record("b", "two", lambda: Image.new("RGB", (4, 4), "red"))])
    >>> check_disjoint({"reference": red}, {"inliers": again}, {})[0].identical
    (('b', 'a'),)
    """
    tested = {**inliers, **outliers}
    pairs = [(t, tested[t], r, reference[r]) for r in reference for t in tested]
    pairs += [(o, outliers[o], i, inliers[i]) for i in inliers for o in outliers]
    found = [shared_images(*pair) for pair in pairs]
    return [shared for shared in found if shared.identical or shared.near]
