"""Detectors by near neighbours and by random cuts: k-NN and the isolation forest."""

import dataclasses

from jepa_jax.evaluation.detectors.detector import Fitted, check_reference
from jepa_jax.evaluation.features import Features


@dataclasses.dataclass(frozen=True)
class KNN:
    """Minus the cosine distance, 1 - cos, to the k-th nearest reference embedding.

    Raises `ValueError` where `k` is below 1 or above the number of reference images.
    Source: Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, arXiv 2204.06507
    (Euclidean distance of normalised embeddings: the same order). Cost: N K an image.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Features, KNN
    >>> reference = Features(("a", "b"), np.array([[1.0, 0.0], [2.0, 0.0]]))
    >>> KNN(k=2).fit(reference).score(Features(("x", "y"), np.array([[3.0, 0.0], [0.0, 1.0]])))
    array([-0., -1.])
    """

    k: int = 5

    def __post_init__(self):
        if self.k < 1:
            raise ValueError(f"`k` must be at least 1, got {self.k}")

    @property
    def name(self) -> str:
        return f"k-NN cosine, k = {self.k}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"embedding"})

    def fit(self, reference: Features) -> Fitted:
        from sklearn.neighbors import NearestNeighbors

        check_reference(self.name, reference, self.k)
        search = NearestNeighbors(n_neighbors=self.k, metric="cosine", algorithm="brute")
        search.fit(reference.vectors)
        return Fitted(self, lambda images: -search.kneighbors(images.vectors)[0][:, -1])
