"""One row an input, whatever happened to it: preparing images, and rows from scores."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from jepa_jax.data import Record
from jepa_jax.data.image_facts import image_facts
from jepa_jax.data.memory import DECODING
from jepa_jax.data.storage import Storage, StorageFailed, in_words, is_transient
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.scoring.keys import generator_of
from jepa_jax.scoring.scores import Scores
from jepa_jax.scoring.stages import PREPROCESSING, READING, stage
from jepa_jax.scoring.views import combine_views, random_view
from jepa_jax.store.schema import LONG, STAMP, of_rule

# Levels of the quantiles that stand for a spectrum, from the smallest singular value up.
SPECTRUM_LEVELS = np.linspace(0, 1, 65)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A record's views as the encoder's inputs, or the error that kept it from having any.

    `status`: "unreadable" where the image is what is wrong, "unavailable" where it could not be
    got this time, and another may bring it. `stamp`: the record's, before it was read.
    """

    record: Record
    inputs: list[Float[np.ndarray, "h w c"]]
    error: str | None = None
    status: str = "ok"
    stamp: str | None = None
    image: dict[str, Any] = dataclasses.field(default_factory=dict)


def prepare(
    record: Record,
    encoder: Encoder,
    *,
    views: int,
    seed: int,
    store: tuple[str, ...] = (),
    storage: Storage = Storage(),
) -> Prepared:
    """Reads, decodes and preprocesses one record; every failure becomes its error.

    One view is the image itself, preprocessed as the checkpoint says. Several are random ones,
    which depend on the record's id and the seed alone. Raises `StorageFailed` where `storage`
    does: what failed is not the record.
    """
    # A decoded image counts against the memory of all threads until its inputs are made.
    with DECODING.hold():
        return _prepared(record, encoder, views, seed, store, storage)


def _prepared(
    record: Record,
    encoder: Encoder,
    views: int,
    seed: int,
    store: tuple[str, ...],
    storage: Storage,
) -> Prepared:
    stamp = None
    try:
        stamp = record.stamp()
        with stage(READING):
            image = storage.load(record)
        facts: dict[str, Any] = {}
        for group in store:
            if group in _OF_IMAGE:
                facts |= _OF_IMAGE[group](image)
        with stage(PREPROCESSING):
            inputs = _inputs(record.id, image, encoder, views, seed)
        return Prepared(record, inputs, stamp=stamp, image=facts)
    except StorageFailed:
        raise
    except Exception as error:  # Whatever it is, the run goes on and the row says it.
        status = "unavailable" if is_transient(error) else "unreadable"
        return Prepared(record, [], in_words(error), status, stamp)


def _inputs(
    id: str, image: Image.Image, encoder: Encoder, views: int, seed: int
) -> list[Float[np.ndarray, "h w c"]]:
    if views == 1:
        return [encoder.preprocess(image)]
    side = encoder.image_size
    return [
        encoder.normalize(random_view(image, side, generator_of(seed, id, str(view))))
        for view in range(views)
    ]


def make_row(
    prepared: Prepared, scores: Scores | None, *, method: str, store: tuple[str, ...]
) -> dict[str, Any]:
    """The row of one record from the scores of its views (None where it has none)."""
    row: dict[str, Any] = {
        "id": prepared.record.id,
        "source": prepared.record.source,
        "status": prepared.status,
        "error": prepared.error,
        "jepa_score": None,
        "std_error": None,
        "bias_bound": None,
        "rank": None,
        "method": method,
        STAMP: prepared.stamp,
        **prepared.image,
    }
    if scores is None:
        return row
    row |= _scored(scores, store)
    for rule, inner in (scores.inner or {}).items():
        found = {"status": "ok", "error": None} | _scored(inner, store)
        row |= {of_rule(n, rule): value for n, value in found.items() if n not in LONG}
    return row


def _scored(scores: Scores, store: tuple[str, ...]) -> dict[str, Any]:
    """What the scores of a record's views by one embedding rule make of its row."""
    row: dict[str, Any] = {}
    values, errors = np.asarray(scores.jepa_score, np.float64), scores.std_error
    row["rank"] = int(scores.rank.min())
    if scores.flagged is not None:
        row["flagged"] = bool(scores.flagged.any())
    if scores.products is not None:
        row["products"] = int(scores.products.sum())
    if not np.isfinite(values).all():
        row["status"], row["error"] = _unscored(values, scores)
        return row
    row["jepa_score"], row["std_error"] = combine_views(values, errors)
    # No bound of several is larger than the largest one; a method without one says NaN.
    bound = float(np.max(scores.bias_bound))
    row["bias_bound"] = None if np.isnan(bound) else bound
    if len(values) > 1:
        row["views"] = values.tolist()
    for group in store:
        if group in _OF_SCORES:
            row |= _OF_SCORES[group](scores)
    return row


def _embedding(scores: Scores) -> dict[str, Any]:
    return {"embedding": np.asarray(scores.embedding[0], np.float32)}


def _spectrum(scores: Scores) -> dict[str, Any]:
    if scores.singular_values is None:
        return {}
    sigma = np.asarray(scores.singular_values[0], np.float64)
    return {
        "spectrum": np.quantile(np.log(sigma), SPECTRUM_LEVELS).astype(np.float32),
        "log_frobenius": float(np.log(np.square(sigma).sum()) / 2),
    }


def _patches(scores: Scores) -> dict[str, Any]:
    if scores.patch_shares is None:
        return {}
    return {"patches": [list(row) for row in scores.patch_shares[0].astype(np.float16)]}


# What a group's columns (`jepa_jax.store.schema`) are: of the decoded image, or of its scores.
_OF_IMAGE: dict[str, Callable[[Image.Image], dict[str, Any]]] = {"image": image_facts}
_OF_SCORES: dict[str, Callable[[Scores], dict[str, Any]]] = {
    "embedding": _embedding,
    "spectrum": _spectrum,
    "patches": _patches,
}


def _unscored(values: np.ndarray, scores: Scores) -> tuple[str, str]:
    """The status of an image whose score is not a number, and why it is none."""
    if not np.isfinite(scores.embedding).all():
        return "nonfinite", "the embedding is not finite: the encoder overflowed on this image"
    if np.isneginf(values).any():
        return "deficient", (
            f"the Jacobian has singular values of zero but for rounding: no more than "
            f"{int(scores.rank.min())} of its directions are above that, "
            f"K = {scores.embedding.shape[-1]}"
        )
    return "nonfinite", f"the score is not finite: {values[~np.isfinite(values)][0]}"
