"""Near-identical images: groups of like embeddings, and of copies by their perceptual hashes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from jepa_jax.report.perceptual_hashes import copies, hash_words, relation

# Rows of one block of similarities: 4 MB, what a core's cache is for.
_BLOCK = 1024
# Axes on which pairs are told apart before their similarity is computed.
_AXES = 32
# Above this share of a block's pairs, one product of the whole block is faster than pair by pair.
_DENSE = 0.01
# Pairs held before they are folded into groups: many equal images make many.
_MOST_PAIRS = 4_000_000


def near_identical(
    embeddings: Float[np.ndarray, "n k"] | None,
    threshold: float = 0.98,
    *,
    hashes: Sequence[str | None] = (),
    overwrite: bool = False,
) -> Int[np.ndarray, " n"]:
    """The group of each row, or -1: rows linked by pairs of cosine similarity >= `threshold`, or by
    perceptual `hashes` that differ in at most 31 of 256 bits, as they are or mirrored.

    Groups (two rows or more) are numbered from the largest; of equal size, by their first row. A
    group is linked through its members (single linkage): its ends may be less alike than the
    threshold. Rows that are not finite or zero are like none by their embedding; without
    `embeddings` (None) there are the hashes alone, of every row or of none.

    Exact: every pair above the threshold is found. A projection on the principal axes shortens
    distances, so pairs that are farther apart there than the threshold allows are passed over; at
    most n^2 K / 2 multiplications, a small part of that as a rule. Memory: the embeddings once
    more, and 100 MB; `overwrite` uses those that are given instead. Raises `ValueError` where
    `threshold` is not in (0, 1].

    >>> near_identical(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.01], [1.0, 1.0]])).tolist()
    [0, -1, 0, -1]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"`threshold` must be above 0 and at most 1, got {threshold}")
    component = np.arange(len(hashes) if embeddings is None else len(embeddings))
    if embeddings is not None:
        embeddings = np.asarray(embeddings, np.float32)
        rows, linked = _alike(embeddings, threshold, overwrite)
        component[rows] = rows[linked]
    return _numbered(_with_copies(component, hashes))


def _alike(
    embeddings: np.ndarray, threshold: float, overwrite: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that can be compared, and for each which of these its group begins with."""
    rows, norms = _usable(embeddings)
    if len(rows) < 2:
        return rows, np.arange(len(rows))
    unit = embeddings[: len(rows)] if overwrite else np.empty_like(embeddings[: len(rows)])
    for start in range(0, len(rows), _BLOCK):
        # Never ahead of what is still to be read: rows[i] >= i.
        part = slice(start, start + _BLOCK)
        unit[part] = embeddings[rows[part]] / norms[rows[part], None]
    unit, same = _without_repeats(unit)
    # Small products in many threads wait for each other, on a busy machine most of their time.
    with threadpool_limits(1, "blas"):
        component = _linked(unit, threshold)[same]
    _, first, code = np.unique(component, return_index=True, return_inverse=True)
    return rows, first[code]


def _with_copies(component: np.ndarray, hashes: Sequence[str | None]) -> np.ndarray:
    """Components after joining rows that are copies by their hashes."""
    rows, words = hash_words(hashes)
    pairs: list[np.ndarray] = []
    held = 0
    for found in copies(words) if len(rows) > 1 else ():
        pairs.append(rows[found])
        held += found.shape[1]
        if held > _MOST_PAIRS:
            component, pairs, held = _merged(component, pairs), [], 0
    return _merged(component, pairs)


def kept(
    groups: Int[np.ndarray, " n"], pixels: Float[np.ndarray, " n"]
) -> Int[np.ndarray, " groups"]:
    """The row of each group that has most pixels, the first of several.

    >>> kept(np.array([0, -1, 0, 1, 1]), np.array([1.0, 9.0, 2.0, 5.0, 5.0])).tolist()
    [2, 3]
    """
    order = np.lexsort((np.arange(len(groups)), -np.nan_to_num(pixels), groups))
    order = order[groups[order] >= 0]
    return order[np.unique(groups[order], return_index=True)[1]]


def relations(
    groups: Int[np.ndarray, " n"],
    pixels: Float[np.ndarray, " n"],
    hashes: Sequence[str | None],
) -> Int[np.ndarray, " n"]:
    """What each row of a group is of the one that is `kept`, by its place in `RELATIONS`.

    0 for that one, outside of groups, and where hashes do not say it.
    """
    codes = np.zeros(len(groups), int)
    rows, words = hash_words(hashes)
    place = np.full(len(groups), -1)
    place[rows] = np.arange(len(rows))
    best = kept(groups, pixels)
    members = np.setdiff1d(np.flatnonzero(groups >= 0), best)
    a, b = place[members], place[best[groups[members]]]
    known = (a >= 0) & (b >= 0)
    codes[members[known]] = relation(words[a[known]], words[b[known]])
    return codes


def default_threshold(embeddings: Float[np.ndarray, "n k"]) -> float:
    """0.98; or, where an encoder finds most images alike, what 999 of 1000 random pairs stay below.

    At most 0.9995, so that copies in another format are found even where they abound.
    """
    rows, _ = _usable(embeddings)
    if len(rows) < 2:
        return 0.98
    a, b = np.random.default_rng(0).choice(rows, (2, 20_000))
    a, b = embeddings[a[a != b]], embeddings[b[a != b]]
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return round(min(0.9995, max(0.98, float(np.quantile(cosines, 0.999)))), 4)


def _usable(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are finite and not zero, and all rows' norms."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
    return np.flatnonzero(np.isfinite(norms) & (norms > 0)), norms


def _without_repeats(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows and each row's place among them: copies would make pairs without end."""
    odd = np.random.default_rng(0).integers(2**63, size=unit.shape[1], dtype=np.uint64) * 2 + 1
    bits = unit.view(np.uint32)
    # A 64-bit hash of the bits: two different rows share one with a chance of 1e-9 in 200,000.
    keys = np.concatenate([bits[i : i + _BLOCK] @ odd for i in range(0, len(bits), _BLOCK)])
    _, first, same = np.unique(keys, return_index=True, return_inverse=True)
    if len(first) == len(unit):
        return unit, np.arange(len(unit))  # As they are, without another copy.
    return unit[first], same


def _linked(unit: np.ndarray, threshold: float) -> np.ndarray:
    """The component of each unit vector in the graph of pairs above the threshold."""
    axes = _principal_axes(unit)
    blocks = _blocks(axes)
    low = np.stack([axes[block].min(0) for block in blocks])
    high = np.stack([axes[block].max(0) for block in blocks])
    # |a - b|^2 = 2 - 2 cos, and no projection is longer; float32 rounding allowed for.
    reach = 2 - 2 * threshold + 1e-5
    # -|a - b|^2 of the projections as one product.
    squares = (axes**2).sum(1, keepdims=True)
    left = np.concatenate([2 * axes, -squares, -np.ones_like(squares)], axis=1)
    right = np.concatenate([axes, np.ones_like(squares), squares], axis=1)
    component = np.arange(len(unit))
    pairs: list[np.ndarray] = []
    held = 0
    for i, block in enumerate(blocks):
        gap = np.maximum(0, np.maximum(low[i:] - high[i], low[i] - high[i:]))
        for j in i + np.flatnonzero((gap**2).sum(1) <= reach):
            near = left[block] @ right[blocks[j]].T >= -reach
            if i == j:
                near = np.triu(near, 1)
            a, b = np.divmod(np.flatnonzero(near), near.shape[1])
            if not len(a):
                continue
            found = _similar(unit, block, blocks[j], a, b, threshold - 1e-6)
            pairs.append(found)
            held += found.shape[1]
            if held > _MOST_PAIRS:
                component, pairs, held = _merged(component, pairs), [], 0
    return _merged(component, pairs)


def _similar(
    unit: np.ndarray,
    block: np.ndarray,
    other: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    least: float,
) -> np.ndarray:
    """Of the pairs block[a], other[b], those of cosine similarity >= `least`, as (2, pairs)."""
    if len(a) > _DENSE * len(block) * len(other):
        keep = (unit[block] @ unit[other].T)[a, b] >= least
    else:
        step = 16 * _BLOCK
        parts = [slice(start, start + step) for start in range(0, len(a), step)]
        dots = [np.einsum("ij,ij->i", unit[block[a[p]]], unit[other[b[p]]]) for p in parts]
        keep = np.concatenate(dots) >= least
    return np.stack([block[a[keep]], other[b[keep]]])


def _principal_axes(unit: np.ndarray) -> np.ndarray:
    """Coordinates of every row on the leading principal axes of (a sample of) the rows."""
    sample = unit[:: max(1, len(unit) // 8192)].astype(np.float64)
    covariance = np.cov(sample, rowvar=False, ddof=0).reshape(unit.shape[1], -1)
    _, vectors = np.linalg.eigh(covariance)
    return unit @ vectors[:, ::-1][:, :_AXES].astype(np.float32)


def _blocks(axes: np.ndarray) -> list[np.ndarray]:
    """The rows in blocks, split in halves at the median of their widest axis."""
    done, todo = [], [np.arange(len(axes))]
    while todo:
        rows = todo.pop()
        if len(rows) <= _BLOCK:
            done.append(rows)
            continue
        axis = np.ptp(axes[rows], axis=0).argmax()
        middle = len(rows) // 2
        order = np.argpartition(axes[rows, axis], middle)
        todo += [rows[order[:middle]], rows[order[middle:]]]
    return done


def _merged(component: np.ndarray, pairs: list[np.ndarray]) -> np.ndarray:
    """Components after joining the rows of `pairs`."""
    if not pairs:
        return component
    a, b = component[np.concatenate(pairs, axis=1)]
    n = len(component)
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n))
    return connected_components(graph, directed=False)[1][component]


def _numbered(component: np.ndarray) -> np.ndarray:
    """Components of two rows or more from the largest on; -1 for single ones."""
    _, first, code, size = np.unique(
        component, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(size), int)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return np.where(size[code] > 1, rank[code], -1)
