"""A user's choice of rows of a scores folder: which are considered, which are taken, and why."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np

from jepa_jax.report.conditional import K, conditional_score
from jepa_jax.report.labels import read_labels
from jepa_jax.report.near_duplicates import default_threshold, kept, near_identical
from jepa_jax.report.selection import Rule, select
from jepa_jax.store.table import ScoreTable, read_embeddings, read_hashes, read_scores


@dataclasses.dataclass(frozen=True)
class Choice:
    """What to take of a scores folder; the parts add up.

    `rule`: rows by their score, within each label if `per_label`; `conditional`: by the conditional
    score instead (`conditional_score`), how they stand among the images most like them. `failed`:
    rows without a score. `flagged`: rows flagged as unlike the calibration's. `near_identical`: of
    each group of copies and of images of at least this cosine similarity, all but the largest (0:
    the default threshold). Only rows that have one of the `labels`, and `contains` in their id
    (whatever its case), are considered, if these are given. `invert` takes the rows considered that
    would be left.

    >>> import pyarrow as pa
    >>> from jepa_jax.report import Amount, Bottom, Choice, ScoreTable, choose
    >>> rows = {"id": ["a", "b", "c"], "status": ["ok", "ok", "unreadable"]}
    >>> rows |= {"jepa_score": [-90.0, -210.0, None]}
    >>> table = ScoreTable(Path("scores"), {"source": "photos"}, {}, pa.table(rows))
    >>> both = Choice(Bottom(Amount(count=1)), failed=True)
    >>> choose(table, both).chosen.tolist()
    [False, True, True]
    """

    rule: Rule | None = None
    per_label: bool = False
    failed: bool = False
    flagged: bool = False
    near_identical: float | None = None
    labels: tuple[str, ...] = ()
    contains: str = ""
    invert: bool = False
    conditional: bool = False


@dataclasses.dataclass(frozen=True)
class Selected:
    """The rows taken (`chosen`, a mask of the `table`'s) and how many there were to take from.

    `scored`: rows considered that have a score; `failed`: rows considered without, by status.
    `conditional`: the conditional score of every row of the table, NaN where it has none; None
    where the choice was not made by it.

    >>> import pyarrow as pa
    >>> from jepa_jax.report import Amount, Bottom, Choice, ScoreTable, choose
    >>> rows = {"id": ["a", "b", "c"], "status": ["ok", "ok", "unreadable"]}
    >>> rows |= {"jepa_score": [-90.0, -210.0, None]}
    >>> table = ScoreTable(Path("scores"), {"source": "photos"}, {}, pa.table(rows))
    >>> selected = choose(table, Choice(Bottom(Amount(count=1))))
    >>> selected.scored, selected.failed, selected.chosen.tolist()
    (2, {'unreadable': 1}, [False, True, False])
    """

    table: ScoreTable
    labels: np.ndarray
    chosen: np.ndarray
    scored: int
    failed: dict[str, int]
    conditional: np.ndarray | None = None


def choose(
    scores: str | Path | ScoreTable, choice: Choice, *, label_from: str = "auto"
) -> Selected:
    """The rows of a scores folder that a `Choice` takes.

    `label_from`: see `read_labels`. Memory: the table, and for near-identical images the
    embeddings. Raises `ValueError` where there is no such folder, label, or column, and where a
    conditional score has too few images.

    >>> import pyarrow as pa
    >>> from jepa_jax.report import Choice, ScoreTable, Top, Amount, choose
    >>> rows = {"id": ["a", "b", "c"], "status": ["ok", "ok", "unreadable"]}
    >>> rows |= {"jepa_score": [-90.0, -210.0, None]}
    >>> table = ScoreTable(Path("scores"), {"source": "photos"}, {}, pa.table(rows))
    >>> choose(table, Choice(Top(Amount(count=1)), invert=True)).chosen.tolist()
    [False, True, False]
    """
    table = scores if isinstance(scores, ScoreTable) else read_scores(scores)
    settings = table.settings
    labels = read_labels(
        table.ids, label_from, settings.get("source", ""), settings.get("source_options")
    )
    considered = _considered(table, labels, choice)
    scored = np.isfinite(table.scores)
    chosen = np.zeros(len(table), bool)
    conditional = None
    if choice.rule is not None:
        by = labels if choice.per_label else None
        values = table.scores
        if choice.conditional:
            embeddings = _embeddings(table, "the conditional score is of")
            values = conditional = conditional_score(values, embeddings)
            if not np.isfinite(values).any():
                raise ValueError(
                    f"{table.folder}: the conditional score needs at least {K + 1} images that "
                    f"have a score and an embedding, got {int(scored.sum())} with a score"
                )
        chosen |= select(values, choice.rule, labels=by, among=considered)
    if choice.failed:
        chosen |= considered & ~scored
    if choice.flagged:
        chosen |= considered & table.flags()
    if choice.near_identical is not None:
        chosen |= _repeats(table, considered, choice.near_identical)
    if choice.invert:
        # Rows without a score are taken by `failed` alone, never by not being chosen.
        chosen = considered & ~chosen & scored
        chosen |= considered & ~scored & choice.failed
    failed = Counter(table.status[considered & ~scored].tolist())
    count = int((considered & scored).sum())
    return Selected(table, labels, chosen, count, dict(failed), conditional)


def _considered(table: ScoreTable, labels: np.ndarray, choice: Choice) -> np.ndarray:
    """The rows that have one of the labels and contain the text."""
    considered = np.ones(len(table), bool)
    if choice.labels:
        known = Counter(labels.tolist())
        missing = [label for label in choice.labels if label not in known]
        if missing:
            some = ", ".join(repr(label) for label, _ in known.most_common(10))
            raise ValueError(f"no image has the label {missing[0]!r}; there are {some}")
        considered &= np.isin(labels.astype(str), choice.labels)
    if choice.contains:
        text = choice.contains.lower()
        considered &= np.array([text in id.lower() for id in table.ids], bool)
    return considered


def _repeats(table: ScoreTable, considered: np.ndarray, threshold: float) -> np.ndarray:
    """Of each group of near-identical images considered, all but the one of most pixels."""
    every = read_hashes(table.folder)
    hashes = [hash if here else None for hash, here in zip(every, considered, strict=True)]
    embeddings = read_embeddings(table.folder)
    if embeddings is None and (threshold or not any(every)):
        embeddings = _embeddings(table, "near-identical images are found in")
    if embeddings is not None:
        embeddings[~considered] = np.nan
        threshold = threshold or default_threshold(embeddings)
    groups = near_identical(embeddings, threshold or 1.0, hashes=hashes, overwrite=True)
    repeats = groups >= 0
    repeats[kept(groups, table.numbers("width") * table.numbers("height"))] = False
    return repeats


def _embeddings(table: ScoreTable, what: str) -> np.ndarray:
    """Those of every row; raises where the folder has none, for which `what` needs them."""
    embeddings = read_embeddings(table.folder)
    if embeddings is None:
        raise ValueError(
            f"{table.folder} holds no embeddings: {what} those of "
            "`jepa-jax score --store embedding,image`"
        )
    return embeddings
