"""The JEPA-SCORE with the density of the embeddings added."""

import dataclasses

import numpy as np

from jepa_jax.evaluation.detectors.column import title_of
from jepa_jax.evaluation.detectors.detector import Fitted
from jepa_jax.evaluation.detectors.mahalanobis import Mahalanobis
from jepa_jax.evaluation.features import Features


@dataclasses.dataclass(frozen=True)
class CorrectedScore:
    """The JEPA-SCORE with the second term of the change of variables: log p(x) up to a constant.

    log p(x) = sum_k log sigma_k(J_f(x)) + log q(f(x)) + const, q the density of the embeddings.
    `embeddings="normal"`: q = N(0, I), what LeJEPA and the paper's Gaussian embeddings aim at.
    `embeddings="fitted"`: q = N(m, S) of the reference's embeddings, S with Ledoit-Wolf shrinkage:
    for encoders whose embeddings have another mean and scale. Of either only -1/2 of the squared
    distance varies; the rest is left out. Nats.

    Source: arXiv 2510.05949, section 3: the term becomes constant as K grows, and on a sphere.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import CorrectedScore, Features
    >>> images = Features(("a", "b"), np.array([[0.0], [2.0]]), {"jepa_score": np.array([5.0, 5])})
    >>> CorrectedScore().fit(images).score(images)
    array([5., 3.])
    """

    embeddings: str = "normal"
    column: str = "jepa_score"

    def __post_init__(self):
        if self.embeddings not in ("normal", "fitted"):
            raise ValueError(
                f"`embeddings` must be one of ('normal', 'fitted'), got {self.embeddings!r}"
            )

    @property
    def name(self) -> str:
        q = "N(0, I)" if self.embeddings == "normal" else "fitted N"
        return f"{title_of(self.column)} + log {q}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({self.column, "embedding"})

    def fit(self, reference: Features) -> Fitted:
        if self.embeddings == "normal":
            return Fitted(
                self,
                lambda images: images.column(self.column) - np.square(images.vectors).sum(1) / 2,
            )
        second = Mahalanobis().fit(reference)  # The squared distance with its sign changed.
        return Fitted(self, lambda images: images.column(self.column) + second.score(images) / 2)
