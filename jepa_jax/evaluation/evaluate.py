"""`evaluate`: sets of images scored, checked to share no image, and compared."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jepa_jax.encoders import Encoder
from jepa_jax.estimators import Estimator, Exact
from jepa_jax.evaluation.comparison import Comparison, compare, default_detectors
from jepa_jax.evaluation.detector import Detector
from jepa_jax.evaluation.disjoint import (
    Fingerprints,
    Leakage,
    Shared,
    check_disjoint,
    fingerprints,
)
from jepa_jax.evaluation.features import Features
from jepa_jax.evaluation.tables import (
    ScoreTable,
    check_same_settings,
    is_scores_folder,
    joined,
    read_scores,
)
from jepa_jax.evaluation.timing import input_seconds
from jepa_jax.scoring import Calibration, Scorer, load_calibration
from jepa_jax.scoring.precision import Precision
from jepa_jax.scoring.shards import CALIBRATION

REFERENCE, INLIERS, CALIBRATED = "reference", "inliers", "calibration"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A comparison of methods, and what it stands on.

    `features`: set's name to features, after shared images were dropped. `settings`: what all
    scores were made with. `sources`: set's name to where its images are; `failed`: to its images
    without a score, by status; `dropped`: to the number left out because another set has them.
    `near`: pairs of sets that share near-duplicates, `unchecked`: what could not be compared by
    pixels, and why. `seconds`: of each column an image, where it was measured.
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
    on_scoring: Callable[[str], Any] | None = None,
) -> Evaluation:
    """The JEPA-SCORE beside label-free baselines: fitted on `reference`, tested on the others.

    Each set is a source of images (whatever `jepa_jax.data.open_source` takes), which is scored by
    every one of `estimators` (name to estimator; default: `Exact`) into `out`/scores, where a rerun
    continues; or a folder of scores that `score --store embedding,spectrum,image` made, for which
    no encoder is needed. `limit`: the first so many images of each source. `detectors`: by default
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
    """
    out = Path(out)
    sets = {REFERENCE: reference, INLIERS: inliers, **outliers}
    reserved = {REFERENCE, INLIERS, CALIBRATED} & set(outliers)
    if reserved or not outliers:
        raise ValueError(f"`outliers` must be named, and not {sorted(reserved)}")
    estimators = dict(estimators or {"exact": Exact()})
    names = list(estimators)
    scorers = {}
    if encoder is not None:
        scorers = {
            name: Scorer(encoder, estimator, precision=precision, batch_size=batch_size, seed=seed)
            for name, estimator in estimators.items()
        }
    tables: dict[str, list[ScoreTable]] = {}
    images: dict[str, Any] = {}
    for name, source in sets.items():
        if is_scores_folder(source):
            tables[name] = [read_scores(source)]
            images[name] = tables[name][0].settings["source"]
            continue
        if not scorers:
            raise ValueError(
                f"{name}: {source} is no folder of scores; an encoder is needed to score it"
            )
        images[name] = source
        tables[name] = [
            _scored(scorer, source, out / "scores" / slug(name) / slug(each), limit, on_scoring)
            for each, scorer in scorers.items()
        ]
    counts = {name: len(found) for name, found in tables.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(
            "a folder of scores has one estimator: give it for every set, or only one method; "
            f"scores a set: {counts}"
        )
    if max(counts.values()) == 1:
        names = ["jepa_score"]
    for place in range(max(counts.values())):
        check_same_settings({name: found[place] for name, found in tables.items()})
    features = {name: joined(found, names) for name, found in tables.items()}
    found_prints, unchecked = _all_fingerprints(images, tables, features, limit)
    calibrated, note = _calibration_fingerprints(calibration, tables, images[REFERENCE], limit)
    unchecked += note
    shared = check_disjoint(
        {
            n: p
            for n, p in {REFERENCE: found_prints.get(REFERENCE), CALIBRATED: calibrated}.items()
            if p
        },
        {INLIERS: found_prints[INLIERS]} if INLIERS in found_prints else {},
        {n: found_prints[n] for n in outliers if n in found_prints},
    )
    shared += _by_name(tables, outliers, found_prints)
    identical = [s for s in shared if s.identical]
    if identical and not drop_shared:
        raise Leakage(identical)
    dropped: dict[str, int] = {}
    for one in identical:
        gone = {pair[0] for pair in one.identical}
        keep = [i for i, id in enumerate(features[one.first].ids) if id not in gone]
        dropped[one.first] = dropped.get(one.first, 0) + len(features[one.first]) - len(keep)
        features[one.first] = features[one.first].take(keep)
    seconds = input_seconds(scorers, images[REFERENCE], names) if scorers else {}
    if detectors is None:
        columns = [n if n == "jepa_score" else f"jepa_score:{n}" for n in names]
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
        sources={name: found[0].settings["source"] for name, found in tables.items()},
        failed={name: found[0].failed for name, found in tables.items() if found[0].failed},
        dropped=dropped,
        near=[s for s in shared if s.near],
        unchecked=unchecked,
        seconds=seconds,
    )


def slug(name: str) -> str:
    """A set's name as that of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "set"


def _scored(
    scorer: Scorer,
    source: Any,
    folder: Path,
    limit: int | None,
    on_scoring: Callable[[str], Any] | None,
) -> ScoreTable:
    """The source's scores, made or continued in `folder`."""
    store = ["embedding", "image"]
    if hasattr(scorer.estimator, "spectrum"):
        store.append("spectrum")
    folder.mkdir(parents=True, exist_ok=True)
    progress = on_scoring(f"{folder.parent.name}, {folder.name}") if on_scoring else None
    reports = {} if progress is None else {"on_start": progress.start, "on_row": progress.advance}
    if progress is None:
        scorer.run(source, folder, store=store, limit=limit)
    else:
        with progress:
            scorer.run(source, folder, store=store, limit=limit, **reports)
    return read_scores(folder)


def _all_fingerprints(
    images: Mapping[str, Any],
    tables: Mapping[str, list[ScoreTable]],
    features: Mapping[str, Features],
    limit: int | None,
) -> tuple[dict[str, Fingerprints], list[str]]:
    """Fingerprints of the sets whose images can be read, and notes on those that cannot."""
    found, notes = {}, []
    for name, source in images.items():
        try:
            prints = fingerprints(source, only=features[name].ids)
        except (ValueError, OSError) as error:
            notes.append(f"{name}: its images cannot be read, compared by source and id ({error})")
            continue
        lacking = len(features[name]) - len(prints)
        if lacking:
            notes.append(f"{name}: {lacking} of its scored images can no longer be read")
        found[name] = prints
    return found, notes


def _calibration_fingerprints(
    calibration: Calibration | None,
    tables: Mapping[str, list[ScoreTable]],
    reference: Any,
    limit: int | None,
) -> tuple[Fingerprints | None, list[str]]:
    """Fingerprints of the images that a sketch was calibrated on, and a note where unknown."""
    sketched = [t for found in tables.values() for t in found if t.method == "sketch"]
    if not sketched:
        return None, []
    if calibration is None:
        folders = {str(t.folder / CALIBRATION): t for t in sketched}
        there = [folder for folder in folders if Path(folder).is_dir()]
        if not there:
            return None, [
                "calibration: which images the sketch was calibrated on is not known; give it "
                "(--calibration), so that they can be checked"
            ]
        calibration = load_calibration(there[0])
    facts = calibration.facts
    for source in (facts["source"], reference):
        try:
            prints = fingerprints(source, only=facts["ids"])
        except (ValueError, OSError):
            continue
        if len(prints) >= facts["images"]:
            return prints, []
    return None, [f"calibration: its images cannot be read from {facts['source']}: not checked"]


def _by_name(
    tables: Mapping[str, list[ScoreTable]],
    outliers: Mapping[str, Any],
    checked: Mapping[str, Fingerprints],
) -> list[Shared]:
    """Images of the same id in the same source, for pairs of sets that pixels could not tell."""
    pairs = [(INLIERS, REFERENCE)]
    pairs += [(name, other) for name in outliers for other in (REFERENCE, INLIERS)]
    shared = []
    for first, second in pairs:
        if first in checked and second in checked:
            continue
        a, b = tables[first][0], tables[second][0]
        if a.settings["source"] != b.settings["source"]:
            continue
        both = np.intersect1d(a.features.ids, b.features.ids).tolist()
        if both:
            shared.append(Shared(first, second, tuple((i, i) for i in both), ()))
    return shared
