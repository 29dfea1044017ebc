"""Folders of scores as features, and what of their settings must agree."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jepa_jax.data.opening import open_again
from jepa_jax.evaluation.features import Features
from jepa_jax.object_stores import Place
from jepa_jax.store.manifest import incomparable_settings
from jepa_jax.store.table import read_embeddings, read_scores

# Columns of a row that a detector may read.
_COLUMNS = ("jepa_score", "log_frobenius", "bits_per_pixel")


@dataclasses.dataclass(frozen=True)
class ScoredSet:
    """A folder's features, its locked settings, and its rows that have no score, by status."""

    folder: Place
    features: Features
    settings: dict[str, Any]
    failed: dict[str, int]

    @property
    def method(self) -> str:
        """The estimator's name."""
        return self.settings.get("estimator", {}).get("method", "")

    def images(self) -> Any:
        """Where the images were, with the columns that they were read from; only the name where
        that cannot be opened any more."""
        name = self.settings.get("source", "")
        try:
            return open_again(name, self.settings.get("source_options", {}))
        except (ValueError, OSError):
            return name


def read_set(folder: str | Place) -> ScoredSet:
    """The rows of a scores folder that have a score, as `Features`.

    `embedding`, `log_frobenius` and `bits_per_pixel` are there where the folder was made with
    `--store embedding,spectrum,image`.

    Raises `FileNotFoundError` or `ValueError` where it is not a folder of scores, or has none.
    """
    table = read_scores(folder)
    ok = np.flatnonzero(np.isfinite(table.scores))
    if not len(ok):
        raise ValueError(f"{folder} has no image with a score: {dict(Counter(table.status))}")
    embeddings = read_embeddings(folder)
    columns = {
        name: table.numbers(name)[ok] for name in _COLUMNS if name in table.rows.column_names
    }
    return ScoredSet(
        table.folder,
        Features(
            tuple(table.ids[i] for i in ok), None if embeddings is None else embeddings[ok], columns
        ),
        table.settings,
        dict(Counter(s for s in table.status if s != "ok")),
    )


def check_same_settings(tables: Mapping[str, ScoredSet]) -> None:
    """Raises `ValueError` where scores of several sets were not made alike, with both values.

    Encoder, embedding, image size, estimator, calibration, precision, views and numerics must
    be those of the first set.
    """
    (first, reference), *others = tables.items()
    changed = [
        f"{key}: {one!r} in {first}, {other!r} in {name}"
        for name, table in others
        for key, (one, other) in incomparable_settings(reference.settings, table.settings).items()
    ]
    if changed:
        raise ValueError(
            "the sets were scored with different settings, so that their scores cannot be compared"
            "\n  " + "\n  ".join(changed)
        )


def joined(tables: Sequence[ScoredSet], names: Sequence[str]) -> Features:
    """Several estimators' scores of the same images as columns `jepa_score:NAME` of one table.

    The first's embedding and image columns serve all; images that one of them could not score are
    left out. With one table, the column is `jepa_score`.
    """
    if len(tables) == 1:
        return tables[0].features
    common = set.intersection(*(set(t.features.ids) for t in tables))
    parts = [
        t.features.take([i for i, id in enumerate(t.features.ids) if id in common]) for t in tables
    ]
    if any(part.ids != parts[0].ids for part in parts):
        raise ValueError(f"{tables[0].folder} and others do not have the same images in one order")
    columns = dict(parts[0].columns)
    columns.pop("jepa_score")
    for part in parts:  # The spectrum is an exact method's alone.
        columns |= {k: v for k, v in part.columns.items() if k != "jepa_score"}
    columns |= {
        f"jepa_score:{n}": p.columns["jepa_score"] for n, p in zip(names, parts, strict=True)
    }
    return Features(parts[0].ids, parts[0].embedding, columns)
