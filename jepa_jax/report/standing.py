"""Where one score stands among those of a folder: its percentile, and the images nearest to it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from jepa_jax.object_stores import Place
from jepa_jax.store.manifest import incomparable_settings, read_manifest
from jepa_jax.store.table import ScoreTable, each_embeddings, read_scores

# Who counts as odd: so many of the lowest scores. Typical is who scores above the median.
ODD = 0.1


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """An image of the folder: its score, nats, and the cosine of its embedding, where stored.

    >>> from jepa_jax.report import Neighbour
    >>> Neighbour("a.png", "photos/a.png", -90.0).cosine is None
    True
    """

    id: str
    source: str
    score: float
    cosine: float | None = None


@dataclasses.dataclass(frozen=True)
class Standing:
    """One image among the scored ones of a folder.

    `count`: those that have a score; `below`: the share of them that score lower, an equal score
    counted as half; `rank`: 1 + those that do, from the lowest. `typical`, `odd`: by "embedding",
    the nearest above the median and among the lowest tenth; by "score" (no embeddings stored, or
    none given), those of the next higher and the next lower scores. `facts`: of what is known of
    the image without an encoder, the share of the folder's images below, where the folder has it.

    >>> from jepa_jax.report import Standing
    >>> Standing(40, 0.6125, 25, -109.98, (), (), "score", {}).rank
    25
    """

    count: int
    below: float
    rank: int
    median: float
    typical: tuple[Neighbour, ...]
    odd: tuple[Neighbour, ...]
    by: Literal["embedding", "score"]
    facts: dict[str, float]


def check_within(settings: Mapping[str, Any], folder: str | Place) -> None:
    """Raises `ValueError` listing the settings by which a score cannot stand among a folder's.

    Encoder, embedding rule, image size, method, precision, numerics and views; which rows were
    `refine`d is not among them, as an exact score is what a calibrated one estimates.
    """
    theirs = read_manifest(folder)["settings"]
    changed = incomparable_settings(settings, theirs)
    lines = [
        f"{key}: {mine!r} here, {other!r} there"
        for key, (mine, other) in changed.items()
        if not key.startswith("refine.")
    ]
    if lines:
        raise ValueError(
            f"a score cannot stand among those of {folder}, which were made with other settings\n  "
            + "\n  ".join(lines)
        )


def standing(
    folder: str | Place,
    score: float,
    *,
    embedding: Float[np.ndarray, " k"] | None = None,
    facts: Mapping[str, Any] = {},
    most: int = 3,
) -> Standing:
    """Where a `score`, in nats, stands among those of a folder of comparable ones.

    `most`: neighbours of either kind. Raises `ValueError` where `score` is not finite, or where no
    image of the folder has one.

    Cost: the rows are read, and the embeddings one shard at a time.

    >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> from pathlib import Path
    >>> from jepa_jax.report import standing
    >>> out = Path(tempfile.mkdtemp())
    >>> _ = (out / "_manifest.json").write_text('{"settings": {"source": "photos"}, "facts": {}}')
    >>> rows = {"id": list("abcd"), "source": list("abcd"), "status": ["ok"] * 4}
    >>> table = pa.table(rows | {"jepa_score": [-90.0, -70.0, -80.0, -210.0]})
    >>> pq.write_table(table, out / "scores-000000.parquet")
    >>> found = standing(out, -85.0)
    >>> found.below, found.rank, [n.id for n in found.typical], [n.id for n in found.odd]
    (0.5, 3, ['c', 'b'], ['a', 'd'])
    """
    if not np.isfinite(score):
        raise ValueError(f"`score` must be finite, got {score}")
    table = read_scores(folder)
    scores = table.scores
    scored = np.flatnonzero(np.isfinite(scores))
    if not len(scored):
        raise ValueError(f"{table.folder} holds no image with a score")
    values = scores[scored]
    lower, equal = int((values < score).sum()), int((values == score).sum())
    cosines = None if embedding is None else _cosines(table, embedding)
    by = "score" if cosines is None else "embedding"
    if cosines is None:
        order = scored[np.argsort(np.abs(values - score), kind="stable")]
        typical, odd = (order[s][:most] for s in (scores[order] >= score, scores[order] < score))
    else:
        known = scored[np.isfinite(cosines[scored])]
        order = known[np.argsort(-cosines[known], kind="stable")]
        low = np.sort(values)[max(1, int(ODD * len(values))) - 1]
        middle = np.median(values)
        typical, odd = order[scores[order] > middle][:most], order[scores[order] <= low][:most]
    return Standing(
        count=len(scored),
        below=(lower + equal / 2) / len(scored),
        rank=1 + lower,
        median=float(np.median(values)),
        typical=_neighbours(table, typical, cosines),
        odd=_neighbours(table, odd, cosines),
        by=by,
        facts=_shares(table, facts),
    )


def _cosines(table: ScoreTable, embedding: np.ndarray) -> np.ndarray | None:
    """The cosine of every row's embedding with this one, NaN where it has none."""
    found = each_embeddings(table.folder)
    if found is None:
        return None
    cosines = np.full(len(table), np.nan)
    one = embedding / np.linalg.norm(embedding)
    with np.errstate(invalid="ignore", divide="ignore"):
        for rows, embeddings in found:
            cosines[rows] = embeddings @ one / np.linalg.norm(embeddings, axis=1)
    return cosines if np.isfinite(cosines).any() else None


def _neighbours(
    table: ScoreTable, rows: np.ndarray, cosines: np.ndarray | None
) -> tuple[Neighbour, ...]:
    sources = table.rows["source"].take(rows).to_pylist()
    return tuple(
        Neighbour(
            table.ids[row],
            source or "",
            float(table.scores[row]),
            None if cosines is None else float(cosines[row]),
        )
        for row, source in zip(rows.tolist(), sources, strict=True)
    )


def _shares(table: ScoreTable, facts: Mapping[str, Any]) -> dict[str, float]:
    """The share of images below each fact of which the folder has a column."""
    shares = {}
    for name, value in facts.items():
        numbers = table.numbers(name)
        numbers = numbers[np.isfinite(numbers)]
        if value is not None and len(numbers):
            shares[name] = float(((numbers < value) + (numbers == value) / 2).mean())
    return shares
