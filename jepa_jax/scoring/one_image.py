"""One image, answered at once: its score, and where in the image the volume comes from."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jepa_jax.data import Record, Source, open_source
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.scoring.affordable import check_affordable
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.rows import make_row, prepare
from jepa_jax.scoring.run import describe, scorer_that_returns
from jepa_jax.scoring.stream import scored
from jepa_jax.scoring.work import RowSettings
from jepa_jax.store.schema import HASH


@dataclasses.dataclass(frozen=True, eq=False)
class ImageScore:
    """The score of one image, and what goes with it.

    `status` is "ok", or what a row of `Scorer.run` says (`error`: why): then `jepa_score` and all
    that is had from it is None. `jepa_score`, `std_error`: nats, higher = more typical;
    `bias_bound`: nats, None where the method has none. `rank`: the singular values in the sum.
    `embedding` (K,), of one view. `patch_shares` (rows, columns): each patch's share of the volume,
    `rank` in all (`jepa_jax.estimators.patch_shares`), where they were asked for. `seen` (height,
    width, 3): what the encoder sees of the image, resized and cropped, of which these are the
    patches. `facts`: what is known of the image without an encoder, by the columns that
    `--store image` writes. `settings`: those that a folder of such scores has in its manifest.

    >>> from jepa_jax.scoring import ImageScore
    >>> found = ImageScore("a.png", "unreadable", "exact", {}, "UnreadableImage: empty file")
    >>> found.jepa_score is None
    True
    """

    id: str
    status: str
    method: str
    settings: dict[str, Any]
    error: str | None = None
    jepa_score: float | None = None
    std_error: float | None = None
    bias_bound: float | None = None
    rank: int | None = None
    flagged: bool | None = None
    embedding: Float[np.ndarray, " k"] | None = None
    patch_shares: Float[np.ndarray, "rows columns"] | None = None
    seen: UInt8[np.ndarray, "h w 3"] | None = None
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def score_one(
    scorer: BatchScorer,
    image: Any,
    *,
    views: int = 1,
    patches: bool = False,
    at_any_cost: bool = False,
) -> ImageScore:
    """The score of one image, as a row of `Scorer.run` has it.

    `image`: a path, or a `Record`. `views`: 1 for the image itself, N for Eq. 4 over N random ones.
    `patches`: `patch_shares` and `seen` too, of one view by an exact method or a sketch.

    An image that cannot be read is a status, not an error. Raises `ValueError` where `image` is
    not one image, on `patches` that the method or several views do not have, and on a score that
    this machine is not up to unless `at_any_cost`; `FileNotFoundError` where there is no such file.

    Cost: that of the estimator once; `patches` adds 2 K^2 D operations.

    >>> from importlib.resources import files
    >>> from jepa_jax import Exact, Scorer, load_encoder
    >>> from jepa_jax.scoring import score_one
    >>> scorer = Scorer(load_encoder("embedded"), Exact(), batch_size=1)
    >>> samples = files("jepa_jax") / "assets" / "samples"
    >>> found = score_one(scorer, samples / "digit-0-a.png", patches=True)
    >>> found.status, found.rank, found.patch_shares.shape, round(float(found.patch_shares.sum()))
    ('ok', 62, (4, 4), 62)
    """
    source = open_source([image] if isinstance(image, Record) else image)
    if source.count() != 1:
        raise ValueError(f"`image` must be one image, got {source}: `Scorer.run` scores many")
    (record,) = source
    encoder, method = scorer.encoder, type(scorer.estimator).__name__.lower()
    if encoder.inner:
        rules = ",".join(map(str, encoder.rules))
        raise ValueError(f"one image is scored by one embedding rule, got {rules}")
    if patches:
        _check_patches(scorer, views)
        scorer = scorer_that_returns(scorer, ("patches",))
    if not at_any_cost:
        check_affordable(scorer)
    settings = settings_of(scorer, source, views)
    prepared = prepare(record, encoder, views=views, seed=scorer.seed, store=("image",))
    if prepared.error is not None:
        return ImageScore(record.id, prepared.status, method, settings, prepared.error)
    ((_, scores),) = scored(scorer, [prepared])
    row = make_row(prepared, scores, method=method, store=())
    names = ("status", "error", "jepa_score", "std_error", "bias_bound", "rank", "flagged")
    of_row: dict[str, Any] = {name: row.get(name) for name in names}
    facts = {name: value for name, value in prepared.image.items() if name != HASH}
    found = ImageScore(record.id, method=method, settings=settings, **of_row, facts=facts)
    if scores is None or found.jepa_score is None:
        return found
    embedding = scores.embedding[0] if views == 1 else None
    if not patches or scores.patch_shares is None:
        return dataclasses.replace(found, embedding=embedding)
    return dataclasses.replace(
        found,
        embedding=embedding,
        patch_shares=np.asarray(scores.patch_shares[0]),
        seen=seen(encoder, prepared.inputs[0]),
    )


def settings_of(scorer: BatchScorer, source: Source, views: int = 1) -> dict[str, Any]:
    """What a folder of such scores has in its manifest: known before any is computed."""
    method = type(scorer.estimator).__name__.lower()
    return describe(scorer, source, RowSettings(method, views, ()), None)


def can_have_patches(scorer: BatchScorer, views: int = 1) -> bool:
    """Whether `score_one` can say where the volume of an image comes from."""
    estimator: Any = scorer.estimator
    exact = getattr(estimator, "rank", "structural") == "structural"
    clips = scorer.encoder.config.frames is not None
    return hasattr(estimator, "shares") and exact and views == 1 and not clips


def _check_patches(scorer: BatchScorer, views: int) -> None:
    if not can_have_patches(scorer, views):
        method = type(scorer.estimator).__name__.lower()
        raise ValueError(
            "`patches` are of one view of a still image, by an exact method (structural rank) or a "
            f"sketch; got {method}, views {views}, {scorer.encoder}"
        )


def seen(encoder: Encoder, inputs: Float[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels that an encoder's input was made of: resized, cropped, not yet normalised.

    A normalisation is a line for each channel: black and white tell which.
    """
    height, width = inputs.shape[:2]
    black, white = (
        encoder.normalize(Image.new("RGB", (width, height), colour))
        for colour in ("black", "white")
    )
    pixels = np.clip((inputs - black) / (white - black), 0, 1) * 255
    return np.broadcast_to(pixels.round().astype(np.uint8), (height, width, 3))
