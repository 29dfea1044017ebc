"""The length of an embedding, a control."""

import dataclasses

import numpy as np

from jepa_jax.evaluation.detectors.detector import Fitted
from jepa_jax.evaluation.features import Features


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
