"""Detectors compared: fitted on one set, tested on inliers and outliers that they have not seen."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jepa_jax.evaluation.bootstrap import (
    Assessment,
    Interval,
    Resamples,
    assess,
    check_confidence,
    intervals_of,
)
from jepa_jax.evaluation.detectors.column import Column
from jepa_jax.evaluation.detectors.conditional_score import ConditionalScore
from jepa_jax.evaluation.detectors.corrected_score import CorrectedScore
from jepa_jax.evaluation.detectors.detector import Detector
from jepa_jax.evaluation.detectors.embedding_norm import EmbeddingNorm
from jepa_jax.evaluation.detectors.flow import Flow
from jepa_jax.evaluation.detectors.gaussian_mixture import GaussianMixture
from jepa_jax.evaluation.detectors.isolation_forest import IsolationForest
from jepa_jax.evaluation.detectors.knn import KNN
from jepa_jax.evaluation.detectors.mahalanobis import Mahalanobis
from jepa_jax.evaluation.detectors.pca import PCAResidual
from jepa_jax.evaluation.features import Features
from jepa_jax.evaluation.metrics import matched_auroc

# What the AUROC is matched by: how complex an image is, whatever is on it.
_SIZE = "bits_per_pixel"


@dataclasses.dataclass(frozen=True)
class MethodResult:
    """One detector: its `scores` (set's name to values; "inliers" among them) and what they show.

    `assessments`: outlier set's name to figures. `seconds_to_fit`; `seconds_an_image`: of the
    detector alone, and `seconds_of_inputs` an image to have what it reads (NaN where not measured).
    `matched`: outlier set's name to the AUROC within quartiles of JPEG size (`matched_auroc`),
    where all sets have the column `bits_per_pixel`.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import EmbeddingNorm, Features, compare
    >>> def images(*norms):
    ...     return Features(tuple(f"{n}" for n in norms), np.array(norms, float)[:, None])
    >>> found = compare(
    ...     images(3, 4), images(5, 6), {"short": images(1, 2)}, detectors=[EmbeddingNorm()]
    ... )
    >>> norm = found.methods[0]
    >>> norm.name, norm.scores["short"].tolist(), norm.assessments["short"].metrics.auroc
    ('embedding norm, one-sided', [1.0, 2.0], 1.0)
    """

    name: str
    scores: dict[str, Float[np.ndarray, " n"]]
    assessments: dict[str, Assessment]
    seconds_to_fit: float
    seconds_an_image: float
    seconds_of_inputs: float
    matched: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """`methods` in the order that they were given; `left_out`: detector's name to the reason.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import EmbeddingNorm, Features, compare
    >>> def images(*norms):
    ...     return Features(tuple(f"{n}" for n in norms), np.array(norms, float)[:, None])
    >>> both = [EmbeddingNorm(), EmbeddingNorm(two_sided=True)]
    >>> found = compare(images(3, 5), images(4, 6), {"short": images(1, 2)}, detectors=both)
    >>> found.outliers, [method.name for method in found.methods]
    (('short',), ['embedding norm, one-sided', 'embedding norm, two-sided'])
    """

    methods: tuple[MethodResult, ...]
    left_out: dict[str, str]
    sizes: dict[str, int]
    confidence: float
    resamples: int
    seed: int

    @property
    def outliers(self) -> tuple[str, ...]:
        """The names of the outlier sets."""
        return tuple(n for n in self.sizes if n not in ("reference", "inliers"))

    def method(self, name: str) -> MethodResult:
        """By name; `KeyError` where there is none."""
        return {m.name: m for m in self.methods}[name]

    def difference(self, name: str, other: str, outliers: str) -> dict[str, Interval]:
        """Intervals of the figures of method `name` less those of `other`, paired by resample."""
        a, b = (self.method(n).assessments[outliers].resampled for n in (name, other))
        return intervals_of(a - b, self.confidence)

    def record(self) -> dict[str, Any]:
        """Everything but the scores, for JSON."""
        first = self.methods[0].name if self.methods else None

        def figures(method: MethodResult, outliers: str) -> dict[str, Any]:
            found = method.assessments[outliers]
            plain: dict[str, Any] = {
                key: {"value": value, "interval": list(found.intervals[key])}
                for key, value in found.metrics._asdict().items()
            }
            if first is not None and method.name != first:
                differences = self.difference(method.name, first, outliers)
                plain["auroc"]["less_first_interval"] = list(differences["auroc"])
            if outliers in method.matched:
                plain["auroc_at_like_jpeg_size"] = {"value": method.matched[outliers]}
            return plain

        return {
            "sizes": self.sizes,
            "confidence": self.confidence,
            "resamples": self.resamples,
            "seed": self.seed,
            "left_out": self.left_out,
            "methods": [
                {
                    "name": method.name,
                    "seconds_to_fit": method.seconds_to_fit,
                    "seconds_an_image": method.seconds_an_image,
                    "seconds_of_inputs": method.seconds_of_inputs,
                    "outliers": {name: figures(method, name) for name in self.outliers},
                }
                for method in self.methods
            ],
        }


def default_detectors(
    columns: Sequence[str] = ("jepa_score",),
    *,
    neighbours: Sequence[int] = (1, 5, 50),
    flow: bool = True,
    seed: int = 0,
) -> tuple[Detector, ...]:
    """The JEPA-SCOREs named by `columns` in every form, the baselines, and the controls.

    `neighbours`: every k of k-NN. `flow`: with the normalising flow, the slowest to fit.

    >>> from jepa_jax.evaluation import default_detectors
    >>> [detector.name for detector in default_detectors(neighbours=(5,), flow=False)][5:8]
    ['JEPA-SCORE given JPEG size, k = 20', 'k-NN cosine, k = 5', 'Mahalanobis, Ledoit-Wolf']
    """
    scores: list[Detector] = []
    for column in columns:
        scores += [
            Column(column),
            Column(column, two_sided=True),
            CorrectedScore("normal", column),
            CorrectedScore("fitted", column),
            ConditionalScore("embedding", column=column),
            ConditionalScore("bits_per_pixel", column=column),
        ]
    baselines: list[Detector] = [
        *(KNN(k) for k in neighbours),
        Mahalanobis(),
        Mahalanobis(normalized=True),
        PCAResidual(),
        GaussianMixture(seed=seed),
        IsolationForest(seed=seed),
        *((Flow(seed=seed),) if flow else ()),
        EmbeddingNorm(),
        EmbeddingNorm(two_sided=True),
        Column("log_frobenius"),
        Column("log_frobenius", two_sided=True),
        Column("bits_per_pixel", descending=True),
        Column("bits_per_pixel", two_sided=True),
    ]
    return (*scores, *baselines)


def compare(
    reference: Features,
    inliers: Features,
    outliers: Mapping[str, Features],
    *,
    detectors: Sequence[Detector] | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    seconds: Mapping[str, float] | None = None,
) -> Comparison:
    """Every detector fitted on `reference` and tested on `inliers` against each set of `outliers`.

    No detector sees a label, a tested image, or the outliers. A detector whose columns are not in
    all sets, or that has too few reference images, is left out, and the reason kept. All methods
    share their bootstrap resamples, so that differences between them are paired. `detectors`:
    `default_detectors()` unless given. `seconds`: what each column cost an image.

    That the sets share no image is the caller's to check: `check_disjoint`, or `evaluate`, which
    does so by itself.

    Raises `ValueError` where a set is empty or named "reference" or "inliers".

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Features, KNN, Mahalanobis, compare
    >>> rng = np.random.default_rng(0)
    >>> def images(shift):
    ...     return Features(tuple(map(str, range(200))), rng.normal(shift, 1, (200, 4)))
    >>> found = compare(images(0), images(0), {"far": images(3)}, detectors=[Mahalanobis()])
    >>> found.methods[0].assessments["far"].metrics.auroc > 0.99
    True
    """
    check_confidence(confidence)
    sets = {"inliers": inliers, **outliers}
    taken = {"reference", "inliers"} & set(outliers)
    if taken or not outliers:
        raise ValueError(f"`outliers` must have names of their own, got {sorted(outliers)}")
    for name, images in {"reference": reference, **sets}.items():
        if not len(images):
            raise ValueError(f"the set {name!r} is empty")
    if detectors is None:
        detectors = default_detectors(seed=seed)
    drawn = {
        name: Resamples.draw(len(inliers), len(images), resamples, seed)
        for name, images in outliers.items()
    }
    methods: list[MethodResult] = []
    left_out: dict[str, str] = {}
    for detector in detectors:
        lacking = {
            name: ", ".join(sorted(detector.needs - images.names))
            for name, images in {"reference": reference, **sets}.items()
            if detector.needs - images.names
        }
        if lacking:
            where = "; ".join(f"{name} has no {needs}" for name, needs in lacking.items())
            everywhere = len(lacking) == len(sets) + 1 and len(set(lacking.values())) == 1
            none = f"no set has {next(iter(lacking.values()))}"
            left_out[detector.name] = none if everywhere else where
            continue
        try:
            methods.append(_run(detector, reference, sets, drawn, confidence, seconds or {}))
        except (ValueError, ModuleNotFoundError) as error:
            left_out[detector.name] = str(error)
    sizes = {"reference": len(reference)} | {name: len(images) for name, images in sets.items()}
    return Comparison(tuple(methods), left_out, sizes, confidence, resamples, seed)


def _run(
    detector: Detector,
    reference: Features,
    sets: Mapping[str, Features],
    drawn: Mapping[str, Resamples],
    confidence: float,
    seconds: Mapping[str, float],
) -> MethodResult:
    began = time.perf_counter()
    fitted = detector.fit(reference)
    fitted_at = time.perf_counter()
    scores = {name: fitted.score(images) for name, images in sets.items()}
    scored_at = time.perf_counter()
    sizes = {n: s.column(_SIZE) for n, s in sets.items() if _SIZE in s.columns}
    return MethodResult(
        name=detector.name,
        scores=scores,
        assessments={
            name: assess(scores["inliers"], scores[name], resamples=counts, confidence=confidence)
            for name, counts in drawn.items()
        },
        matched={
            name: matched_auroc(scores["inliers"], scores[name], sizes["inliers"], sizes[name])
            for name in (drawn if len(sizes) == len(sets) else ())
        },
        seconds_to_fit=fitted_at - began,
        seconds_an_image=(scored_at - fitted_at) / sum(map(len, sets.values())),
        # The embedding is a by-product of a Jacobian: the dearest column is the cost.
        seconds_of_inputs=max(
            (seconds[need] for need in detector.needs if need in seconds), default=float("nan")
        ),
    )
