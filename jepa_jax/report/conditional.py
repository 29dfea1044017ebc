"""How every image's score stands among those of the images that are most like it."""

import numpy as np
from jaxtyping import Float

# Rows of one block of similarities, and the images that neighbours are looked for among.
_BLOCK, MOST_REFERENCES = 1024, 8192
K = 20
# Of fewer images than this the K nearest are a large part of all, not those of one kind.
FEW = 5 * K


def conditional_score(
    scores: Float[np.ndarray, " n"],
    embeddings: Float[np.ndarray, "n k"],
    k: int = K,
    *,
    most: int = MOST_REFERENCES,
) -> Float[np.ndarray, " n"]:
    """(s - m) / d of every row: m and d are the mean and standard deviation of the scores of the
    `k` other images whose embeddings are nearest by cosine.

    Low where an image scores lower than others like it, whatever their kind scores: an odd image of
    a typical kind. It is `jepa_jax.evaluation.ConditionalScore` with all images for reference, the
    image itself left out; of more than `most`, neighbours are among so many drawn at random, the
    same ones every time. d is at least a thousandth of the deviation of all scores. NaN for rows
    without a score or a usable embedding, and for all where fewer than k + 1 rows have both.

    Cost: n min(n, most) K multiplications; 4 (K + 1024) `most` bytes.

    >>> scores = np.array([1.0, 2.0, 3.0, 10.0, 30.0, 29.0])
    >>> left, right = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    >>> conditional_score(scores, np.stack([left] * 3 + [right] * 3), k=2).round(2).tolist()
    [-3.0, 0.0, 3.0, -39.0, 1.11, 0.9]
    """
    if k < 2:
        raise ValueError(f"`k` must be at least 2, got {k}")
    found = np.full(len(scores), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
    usable = np.flatnonzero(np.isfinite(scores) & np.isfinite(norms) & (norms > 0))
    if len(usable) <= k:
        return found
    references = usable
    if len(usable) > most:
        references = np.sort(np.random.default_rng(0).choice(usable, most, replace=False))
    known = scores[references]
    # Transposed once: every block is multiplied by it.
    unit = np.ascontiguousarray((embeddings[references] / norms[references, None]).T)
    least = max(1e-3 * known.std(), np.finfo(np.float64).tiny)
    for start in range(0, len(usable), _BLOCK):
        rows = usable[start : start + _BLOCK]
        # A row's own norm does not change which are nearest to it.
        alike = embeddings[rows] @ unit
        own = np.searchsorted(references, rows)
        own[own == len(references)] = 0
        itself = np.flatnonzero(references[own] == rows)
        alike[itself, own[itself]] = -np.inf
        nearest = known[np.argpartition(alike, -k, axis=1)[:, -k:]]
        spread = np.maximum(nearest.std(1), least)
        found[rows] = (scores[rows] - nearest.mean(1)) / spread
    return found
