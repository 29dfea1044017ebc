"""Detectors that read one number an image: the JEPA-SCORE, and the controls beside it."""

import dataclasses

import numpy as np

from jepa_jax.evaluation.detector import Fitted
from jepa_jax.evaluation.features import Features
from jepa_jax.evaluation.gaussian import Mahalanobis

# What the columns are called in tables.
_TITLES = {
    "jepa_score": "JEPA-SCORE",
    "log_frobenius": "log Frobenius norm of J",
    "bits_per_pixel": "JPEG bits per pixel",
}


def title_of(column: str) -> str:
    """A column's name for tables: 'jepa_score:lanczos' is 'JEPA-SCORE (lanczos)'."""
    base, _, method = column.partition(":")
    title = _TITLES.get(base, base)
    return f"{title} ({method})" if method else title


@dataclasses.dataclass(frozen=True)
class Column:
    """A column's value as the score: `value`, or two-sided `-|value - median(reference)|`.

    One-sided, a high value is typical, or with `descending` a low one; the JEPA-SCORE and
    log ||J||_F are read as they are, JPEG bits per pixel descending (images that compress well
    are typical: the control for a score that only follows complexity, RESEARCH.md section 5).
    Two-sided asks for no direction; it needs reference images for the median alone.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Column, Features
    >>> images = Features(("a", "b", "c"), None, {"jepa_score": np.array([1.0, 2.0, 9.0])})
    >>> Column("jepa_score").fit(images).score(images)
    array([1., 2., 9.])
    >>> Column("jepa_score", two_sided=True).fit(images).score(images)
    array([-1., -0., -7.])
    """

    column: str = "jepa_score"
    two_sided: bool = False
    descending: bool = False

    @property
    def name(self) -> str:
        sides = "two-sided" if self.two_sided else "one-sided"
        return f"{title_of(self.column)}, {sides}{', low' if self._falls else ''}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({self.column})

    @property
    def _falls(self) -> bool:
        return self.descending and not self.two_sided

    def fit(self, reference: Features) -> Fitted:
        centre = float(np.median(reference.column(self.column)))
        if self.two_sided:
            return Fitted(self, lambda images: -np.abs(images.column(self.column) - centre))
        sign = -1 if self.descending else 1
        return Fitted(self, lambda images: sign * images.column(self.column))


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


@dataclasses.dataclass(frozen=True)
class EmbeddingNorm:
    """The Euclidean norm of the embedding, a large one typical, or two-sided around the median.

    After a final LayerNorm or L2 normalisation it varies little, and says little.
    Source: Park, Jung, Teoh, Understanding the Feature Norm for Out-of-Distribution Detection,
    arXiv 2310.05316.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import EmbeddingNorm, Features
    >>> images = Features(("a", "b"), np.array([[3.0, 4.0], [0.0, 1.0]]))
    >>> EmbeddingNorm().fit(images).score(images)
    array([5., 1.])
    """

    two_sided: bool = False

    @property
    def name(self) -> str:
        return f"embedding norm, {'two' if self.two_sided else 'one'}-sided"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"embedding"})

    def fit(self, reference: Features) -> Fitted:
        norm = lambda images: np.linalg.norm(images.vectors, axis=1)
        if not self.two_sided:
            return Fitted(self, norm)
        centre = float(np.median(norm(reference)))
        return Fitted(self, lambda images: -np.abs(norm(images) - centre))
