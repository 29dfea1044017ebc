"""One row an input, whatever happened to it: preparing images, and rows from scores."""

import dataclasses
import io
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from jepa_jax.data import Record
from jepa_jax.encoders import Encoder
from jepa_jax.scoring.keys import generator_of
from jepa_jax.scoring.scorer import Scores
from jepa_jax.scoring.views import ViewSettings, combine_views, random_view

# The groups of columns that a run may add to the rows.
GROUPS = ("embedding", "spectrum", "image")
# Levels of the quantiles that stand for a spectrum, from the smallest singular value up.
SPECTRUM_LEVELS = np.linspace(0, 1, 65)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A record's views as the encoder's inputs, or the error that kept it from having any."""

    record: Record
    inputs: list[Float[np.ndarray, "h w c"]]
    error: str | None = None
    image: dict[str, Any] = dataclasses.field(default_factory=dict)


def prepare(
    record: Record,
    encoder: Encoder,
    *,
    views: int,
    seed: int,
    describe: bool,
    settings: ViewSettings = ViewSettings(),
) -> Prepared:
    """Reads, decodes and preprocesses one record; every failure becomes its error.

    One view is the image itself, preprocessed as the checkpoint says. Several are random ones,
    which depend on the record's id and the seed alone.
    """
    try:
        image = record.load()
        facts = image_facts(image) if describe else {}
        if views == 1:
            return Prepared(record, [encoder.preprocess(image)], image=facts)
        inputs = [
            encoder.normalize(
                random_view(
                    image, encoder.image_size, generator_of(seed, record.id, str(view)), settings
                )
            )
            for view in range(views)
        ]
        return Prepared(record, inputs, image=facts)
    except Exception as error:  # Whatever it is, the run goes on and the row says it.
        return Prepared(record, [], error=f"{type(error).__name__}: {error}")


def image_facts(image: Image.Image) -> dict[str, Any]:
    """Size, and bits per pixel of a JPEG of quality 75: the complexity that scores follow."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    bits = 8 * buffer.tell() / (image.width * image.height)
    return {"width": image.width, "height": image.height, "bits_per_pixel": bits}


def make_row(
    prepared: Prepared, scores: Scores | None, *, method: str, store: tuple[str, ...]
) -> dict[str, Any]:
    """The row of one record from the scores of its views (None where it has none)."""
    row: dict[str, Any] = {
        "id": prepared.record.id,
        "source": prepared.record.source,
        "status": "ok" if prepared.error is None else "unreadable",
        "error": prepared.error,
        "jepa_score": None,
        "std_error": None,
        "rank": None,
        "method": method,
    }
    if "image" in store:
        row |= prepared.image
    if scores is None:
        return row
    values, errors = np.asarray(scores.jepa_score, np.float64), scores.std_error
    row["rank"] = int(scores.rank[0])
    if scores.flagged is not None:
        row["flagged"] = bool(scores.flagged.any())
    if not np.isfinite(values).all():
        row["status"] = "nonfinite"
        row["error"] = _nonfinite(values, scores.embedding)
        return row
    row["jepa_score"], row["std_error"] = combine_views(values, errors)
    if len(values) > 1:
        row["views"] = values.tolist()
    if "embedding" in store:
        row["embedding"] = np.asarray(scores.embedding[0], np.float32)
    if "spectrum" in store and scores.singular_values is not None:
        sigma = np.asarray(scores.singular_values[0], np.float64)
        row["spectrum"] = np.quantile(np.log(sigma), SPECTRUM_LEVELS).astype(np.float32)
        row["log_frobenius"] = float(np.log(np.square(sigma).sum()) / 2)
    return row


def _nonfinite(values: np.ndarray, embedding: np.ndarray) -> str:
    """Why a score is not a number."""
    if not np.isfinite(embedding).all():
        return "the embedding is not finite: the encoder overflowed on this image"
    if np.isneginf(values).any():
        return "the Jacobian has no full rank: its log-volume is -inf"
    return f"the score is not finite: {values[~np.isfinite(values)][0]}"
