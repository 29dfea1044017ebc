"""DataComp's sample uids: 128-bit hashes, and the array of them that its resharder reads."""

import json
import re
import tarfile
from collections.abc import Sequence

import numpy as np

from jepa_jax.data.readable import open_regular
from jepa_jax.data.record import original_name
from jepa_jax.data.sources.tar import TAR_EXTENSIONS
from jepa_jax.object_stores import Place, place

_UID = re.compile(r"[0-9a-fA-F]{32}")
UID_DTYPE = np.dtype("u8,u8")


def uid_array(uids: Sequence[str]) -> np.ndarray:
    """Uids of 32 hexadecimal digits as the sorted array of `u8,u8` that DataComp's resharder reads.

    The first number is the upper half. Sorted by both, since the resharder searches it by
    bisection; repeated uids are kept once, since it would write such a sample twice.

    Source: Gadre et al., DataComp (arXiv 2304.14108), its repository's README on `resharder.py`.
    Raises `ValueError` where a uid is not 32 hexadecimal digits.

    >>> uid_array(["f" * 32, "0" * 31 + "1"]).tolist()
    [(0, 1), (18446744073709551615, 18446744073709551615)]
    """
    wrong = next((uid for uid in uids if not _UID.fullmatch(uid)), None)
    if wrong is not None:
        raise ValueError(f"a uid must be 32 hexadecimal digits, got {wrong!r}")
    halves = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids]
    return np.unique(np.array(halves, UID_DTYPE))


def uids_of(ids: Sequence[str], sources: Sequence[str]) -> list[str]:
    """The uids of rows: their own names, or what the archives that hold them say.

    A row whose id ends in 32 hexadecimal digits (before an extension) has its uid there. Of a row
    in a tar, `<key>.json` beside the image is read for its "uid", as DataComp's shards have it.
    Cost: the headers of each such tar. Raises `ValueError` naming the first row without a uid.
    """
    uids = [_named(id) for id in ids]
    shards: dict[str, dict[str, str]] = {}
    for row, (id, source) in enumerate(zip(ids, sources, strict=True)):
        if uids[row] is None and source.lower().endswith(TAR_EXTENSIONS):
            if source not in shards:
                shards = {source: _in_tar(place(original_name(source)))}
            # The id is '<archive's label>/<member>', and the label may have folders of its own.
            parts = _key(id).split("/")
            tails = ("/".join(parts[start:]) for start in range(1, len(parts)))
            uids[row] = next((shards[source][t] for t in tails if t in shards[source]), None)
        if uids[row] is None:
            raise ValueError(
                f"no uid for {id!r}: an array of uids needs ids of 32 hexadecimal digits (a "
                "Parquet source with a `uid` column has them), or tars with '<key>.json' beside "
                "each image"
            )
    return [uid for uid in uids if uid is not None]


def _named(id: str) -> str | None:
    """The uid that an id ends in."""
    name = id.rpartition("/")[2]
    return name[:32] if _UID.fullmatch(name.partition(".")[0]) else None


def _key(member: str) -> str:
    """WebDataset's key of a member: up to the first dot of its file name."""
    folder, slash, name = member.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _in_tar(path: Place) -> dict[str, str]:
    """Uids by key, from the JSON members of a tar."""
    uids: dict[str, str] = {}
    with open_regular(path) as raw, tarfile.open(fileobj=raw) as tar:
        for member in tar:
            if member.isreg() and member.name.lower().endswith(".json"):
                file = tar.extractfile(member)
                uid = _uid_in(file.read() if file else b"")
                if uid is not None:
                    uids[_key(member.name.removeprefix("./"))] = uid
    return uids


def _uid_in(content: bytes) -> str | None:
    """The "uid" of a JSON object, padded: some writers drop leading zeros."""
    try:
        uid = str(json.loads(content).get("uid", ""))
    except (ValueError, AttributeError, RecursionError):
        return None
    return uid.zfill(32) if re.fullmatch(r"[0-9a-fA-F]{1,32}", uid) else None
