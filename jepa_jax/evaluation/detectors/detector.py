"""The signature that all detectors share: `fit` on reference images, `score` others."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from jepa_jax.evaluation.features import Features


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A detector fitted on reference images.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import EmbeddingNorm, Features
    >>> images = Features(("a", "b"), np.array([[3.0, 4.0], [0.0, 1.0]]))
    >>> fitted = EmbeddingNorm().fit(images)
    >>> fitted.score(images).tolist(), fitted.outlier_score(images).tolist()
    ([5.0, 1.0], [-5.0, -1.0])
    """

    detector: "Detector"
    function: Callable[[Features], Float[np.ndarray, " n"]]

    def score(self, images: Features) -> Float[np.ndarray, " n"]:
        """Higher = more typical of the reference images. Units are the detector's own."""
        return self.function(images)

    def outlier_score(self, images: Features) -> Float[np.ndarray, " n"]:
        """Higher = more of an outlier: the score with its sign changed, as pytorch-ood has it."""
        return -self.function(images)


@runtime_checkable
class Detector(Protocol):
    """Frozen settings; `fit` is pure and returns what it fitted. No detector sees a label.

    `needs`: the columns that it reads, "embedding" among them.

    >>> from jepa_jax.evaluation import KNN, Column, Detector
    >>> isinstance(KNN(k=5), Detector), sorted(KNN(k=5).needs), sorted(Column("jepa_score").needs)
    (True, ['embedding'], ['jepa_score'])
    """

    @property
    def name(self) -> str:
        """For tables."""
        ...

    @property
    def needs(self) -> frozenset[str]: ...

    def fit(self, reference: Features) -> Fitted:
        """Fitted on images that count as typical, none of which may be tested on."""
        ...


def cross_scores(
    detector: Detector, images: Features, folds: int = 5, seed: int = 0
) -> Float[np.ndarray, " n"]:
    """Scores of images by the detector fitted on the *other* images, fold by fold.

    For finding outliers in one unclean set without a reference: fitted on the set as a whole, a
    detector would have seen every image that it scores.

    Raises `ValueError` on fewer than two folds or images.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Features, KNN, cross_scores
    >>> angles = np.array([0.0, 0.1, 0.2, 0.3, 2.0])
    >>> images = Features(tuple("abcde"), np.stack([np.cos(angles), np.sin(angles)], 1))
    >>> images.ids[cross_scores(KNN(k=1), images, folds=5).argmin()]
    'e'
    """
    if not 2 <= folds <= len(images):
        raise ValueError(f"`folds` must be between 2 and {len(images)} (the images), got {folds}")
    fold = np.random.default_rng(seed).permutation(len(images)) % folds
    scores = np.empty(len(images))
    for k in range(folds):
        scores[fold == k] = detector.fit(images.take(fold != k)).score(images.take(fold == k))
    return scores


def check_reference(name: str, reference: Features, fewest: int) -> None:
    """Raises where there are too few images to fit on."""
    if len(reference) < fewest:
        raise ValueError(f"{name} needs at least {fewest} reference images, got {len(reference)}")
