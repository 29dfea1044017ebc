"""`evaluate`: sets of images scored, checked to share no image, and compared."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jepa_jax.calibration import Calibration
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.estimators import Estimator, Exact
from jepa_jax.evaluation.bootstrap import check_confidence
from jepa_jax.evaluation.comparison import Comparison, compare, default_detectors
from jepa_jax.evaluation.detectors.detector import Detector
from jepa_jax.evaluation.features import Features
from jepa_jax.evaluation.leakage import CALIBRATED, INLIERS, REFERENCE, check_sets
from jepa_jax.evaluation.scored import (
    ScoredSet,
    check_same_settings,
    joined,
    read_set,
)
from jepa_jax.evaluation.shared_images import Shared
from jepa_jax.evaluation.timing import input_seconds
from jepa_jax.precisions import Precision
from jepa_jax.scoring import Scorer
from jepa_jax.store.manifest import is_scores_folder


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A comparison of methods, and what it stands on.

    `features`: set's name to features, after shared images were dropped. `settings`: what all
    scores were made with. `sources`: set's name to where its images are; `failed`: to its images
    without a score, by status; `dropped`: to the number left out because another set has them.
    `near`: pairs of sets that share near-duplicates, `unchecked`: what could not be compared by
    pixels, and why. `seconds`: of each column an image, where it was measured.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import EmbeddingNorm, Evaluation, Features, compare
    >>> a, b, c = (Features((name,), np.ones((1, 2))) for name in "abc")
    >>> compared = compare(a, b, {"odd": c}, detectors=[EmbeddingNorm()])
    >>> sets = {"reference": a, "inliers": b, "odd": c}
    >>> found = Evaluation(compared, sets, [], {}, {}, {"odd": 3}, [], [], {})
    >>> found.record()["dropped_as_shared"], found.record()["sizes"]
    ({'odd': 3}, {'reference': 1, 'inliers': 1, 'odd': 1})
    """

    comparison: Comparison
    features: Mapping[str, Features]
    settings: list[dict[str, Any]]
    sources: dict[str, str]
    failed: dict[str, dict[str, int]]
    dropped: dict[str, int]
    near: list[Shared]
    unchecked: list[str]
    seconds: dict[str, float]

    def record(self) -> dict[str, Any]:
        """Everything but the images' scores, for JSON."""
        return {
            "sources": self.sources,
            "settings": self.settings,
            "failed": self.failed,
            "dropped_as_shared": self.dropped,
            "near_duplicates": [
                {
                    "sets": [s.first, s.second],
                    "images": len(s.near),
                    "examples": [list(pair) for pair in s.near[:5]],
                }
                for s in self.near
            ],
            "unchecked": self.unchecked,
            "seconds_of_columns": self.seconds,
            **self.comparison.record(),
        }


def evaluate(
    encoder: Encoder | None,
    *,
    reference: Any,
    inliers: Any,
    outliers: Mapping[str, Any],
    out: str | Path,
    estimators: Mapping[str, Estimator] | None = None,
    calibration: Calibration | None = None,
    detectors: Sequence[Detector] | None = None,
    flow: bool = True,
    drop_shared: bool = False,
    limit: int | None = None,
    precision: Precision = "highest",
    batch_size: int | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    at_any_cost: bool = False,
    on_scoring: Callable[[str], Any] | None = None,
) -> Evaluation:
    """The JEPA-SCORE beside label-free baselines: fitted on `reference`, tested on the others.

    Each set is a source of images (whatever `jepa_jax.data.open_source` takes), which is scored by
    every one of `estimators` (name to estimator; default: `Exact`) into `out`/scores, where a rerun
    continues; or a folder of scores that `score --store embedding,spectrum,image` made, for which
    no encoder is needed. `limit`: the first so many images of each source. `at_any_cost`: as of
    `jepa_jax.scoring.run.run`. `detectors`: by default
    `default_detectors` for the estimators, `flow` with the normalising flow.

    No leakage: detectors are fitted on `reference` alone; reference (with the images of a sketch's
    `calibration`), inliers and outliers are compared by the SHA-256 of their decoded pixels, and
    `Leakage` (a `ValueError`) is raised where any image is in two of them. With `drop_shared`,
    images that the reference or calibration has are left out of the tested sets, and of the
    outliers those that the inliers have. Near-duplicates are reported. Images that can no longer
    be read are compared by source and id, and `Evaluation.unchecked` says so.

    Raises `ValueError` on scores of different settings, with both values, on a set without one
    score, and where a source is given without an encoder.

    Cost: the scores; every image decoded once more to compare; seconds a detector, tens of seconds
    for the flow.

    >>> import tempfile
    >>> import numpy as np
    >>> from jepa_jax import load_encoder
    >>> from jepa_jax.data import Record
    >>> from jepa_jax.evaluation import Column, evaluate
    >>> from PIL import Image
    >>> rng = np.random.default_rng(0)
    >>> def images(name, side):  # Of random squares, so many a side.
    ...     drawn = [rng.integers(0, 256, (side, side, 3), np.uint8) for _ in range(8)]
    ...     drawn = [Image.fromarray(squares).resize((28, 28)) for squares in drawn]
    ...     return [Record(f"{name}{i}", name, lambda im=im: im) for i, im in enumerate(drawn)]
    >>> found = evaluate(
    ...     load_encoder("embedded"),
    ...     reference=images("r", 2),
    ...     inliers=images("i", 2),
    ...     outliers={"noise": images("n", 28)},
    ...     out=tempfile.mkdtemp(),
    ...     detectors=[Column("jepa_score"), Column("bits_per_pixel", descending=True)],
    ... )
    >>> score, size = found.comparison.methods
    >>> size.name, size.assessments["noise"].metrics.auroc
    ('JPEG bits per pixel, one-sided, low', 1.0)
    """
    out = Path(out)
    _check_names(outliers)
    check_confidence(confidence)  # Before anything is scored.
    sets = {REFERENCE: reference, INLIERS: inliers, **outliers}
    estimators = {n: _with_spectrum(e) for n, e in (estimators or {"exact": Exact()}).items()}
    given = {n: read_set(source) for n, source in sets.items() if is_scores_folder(source)}
    images = {n: given[n].images() if n in given else sets[n] for n in sets}
    if len(given) < len(sets) and encoder is None:
        name = next(n for n in sets if n not in given)
        raise ValueError(
            f"{name}: {sets[name]} is no folder of scores; an encoder is needed to score it"
        )
    if given and len(estimators) > 1:
        raise ValueError(
            f"a folder of scores ({given[next(iter(given))].folder}) has one estimator; give "
            f"sources of images to compare several, got {sorted(estimators)}"
        )
    methods = [t.method for t in given.values()] + [type(e).__name__ for e in estimators.values()]
    # Before anything is scored: leakage is not found out after hours.
    checked = check_sets(
        images,
        given,
        limit=limit,
        sketched="sketch" in map(str.lower, methods),
        calibration=calibration,
        allow_identical=drop_shared,
    )
    scorers = {}
    if encoder is not None:
        options: dict[str, Any] = {"precision": precision, "batch_size": batch_size, "seed": seed}
        scorers = {n: Scorer(encoder, e, **options) for n, e in estimators.items()}
    tables = {
        name: [given[name]]
        if name in given
        else [
            _scored(
                scorer,
                source,
                out / "scores" / slug(name) / slug(each),
                {"limit": limit, "at_any_cost": at_any_cost},
                on_scoring,
            )
            for each, scorer in scorers.items()
        ]
        for name, source in sets.items()
    }
    for place in range(len(tables[REFERENCE])):
        check_same_settings({name: found[place] for name, found in tables.items()})
    names = list(estimators)
    features, dropped = checked.drop({n: joined(found, names) for n, found in tables.items()})
    columns = ["jepa_score"] if len(names) == 1 else [f"jepa_score:{n}" for n in names]
    timed = dict(zip(columns, scorers.values(), strict=False))
    seconds = {}
    if timed:
        seconds = input_seconds(timed, images[REFERENCE], at_any_cost=at_any_cost)
    if detectors is None:
        detectors = default_detectors(columns, flow=flow, seed=seed)
    comparison = compare(
        features[REFERENCE],
        features[INLIERS],
        {name: features[name] for name in outliers},
        detectors=detectors,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
        seconds=seconds,
    )
    return Evaluation(
        comparison=comparison,
        features=features,
        settings=[table.settings for table in tables[REFERENCE]],
        sources={name: found[0].settings.get("source", "") for name, found in tables.items()},
        failed={name: found[0].failed for name, found in tables.items() if found[0].failed},
        dropped=dropped,
        near=list(checked.near),
        unchecked=list(checked.unchecked),
        seconds=seconds,
    )


def slug(name: str) -> str:
    """A set's name as that of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "set"


def _check_names(outliers: Mapping[str, Any]) -> None:
    """Raises where outlier sets have no names of their own."""
    folders = {slug(name) for name in outliers}
    if not outliers or folders & {REFERENCE, INLIERS, CALIBRATED} or len(folders) < len(outliers):
        raise ValueError(
            f"`outliers` must have names of their own, also as those of folders, and not "
            f"{REFERENCE!r}, {INLIERS!r} or {CALIBRATED!r}; got {sorted(outliers)}"
        )


def _with_spectrum(estimator: Any) -> Any:
    """An estimator that returns the singular values, where it can: log ||J||_F needs them."""
    if not hasattr(estimator, "spectrum"):
        return estimator
    return dataclasses.replace(estimator, spectrum=True)


def _scored(
    scorer: Scorer,
    source: Any,
    folder: Path,
    settings: dict[str, Any],
    on_scoring: Callable[[str], Any] | None,
) -> ScoredSet:
    """The source's scores, made or continued in `folder`."""
    store = ["embedding", "image"]
    if hasattr(scorer.estimator, "spectrum"):
        store.append("spectrum")
    if on_scoring is None:
        scorer.run(source, folder, store=store, **settings)
    else:
        with on_scoring(f"{folder.parent.name}, {folder.name}") as progress:
            scorer.run(
                source,
                folder,
                store=store,
                **settings,
                on_start=progress.start,
                on_row=progress.advance,
            )
    return read_set(folder)
