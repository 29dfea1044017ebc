"""Detectors that take embeddings for Gaussian: Mahalanobis, PCA residual, mixtures."""

import dataclasses

import numpy as np

from jepa_jax.evaluation.detectors.detector import Fitted, check_reference
from jepa_jax.evaluation.features import Features


@dataclasses.dataclass(frozen=True)
class Mahalanobis:
    """-(z - m)^T S^-1 (z - m), m and S the reference embeddings' mean and covariance.

    `shrinkage="ledoit-wolf"`: S pulled towards a multiple of the identity by the amount that
    Ledoit and Wolf (2004) estimate, so that it holds with fewer images than dimensions.
    `shrinkage="none"`: the plain covariance and its pseudo-inverse, as in published evaluations;
    with about as many images as dimensions it separates its own images from all others.
    `normalized`: of z / ||z||, whose covariance is nearer to one that all images share.

    Raises `ValueError` with fewer than two reference images.
    Source: Lee et al., arXiv 1807.03888, without its classes; `normalized`: Mahalanobis++ (Mueller
    and Hein, arXiv 2505.18032). Cost: N K^2 to fit, K^2 an image.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Features, Mahalanobis
    >>> rng = np.random.default_rng(0)
    >>> reference = Features(tuple(map(str, range(500))), rng.normal(size=(500, 2)) * [1, 10])
    >>> images = Features(("far", "near"), np.array([[9.0, 0.0], [0.0, 9.0]]))
    >>> far, near = Mahalanobis().fit(reference).score(images)
    >>> bool(far < near)
    True
    """

    shrinkage: str = "ledoit-wolf"
    normalized: bool = False

    def __post_init__(self):
        if self.shrinkage not in ("ledoit-wolf", "none"):
            raise ValueError(
                f"`shrinkage` must be one of ('ledoit-wolf', 'none'), got {self.shrinkage!r}"
            )

    @property
    def name(self) -> str:
        how = "Ledoit-Wolf" if self.shrinkage == "ledoit-wolf" else "no shrinkage"
        return f"Mahalanobis, {how}{', normalised' if self.normalized else ''}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"embedding"})

    def fit(self, reference: Features) -> Fitted:
        from sklearn.covariance import EmpiricalCovariance, LedoitWolf

        check_reference(self.name, reference, 2)
        estimator = LedoitWolf() if self.shrinkage == "ledoit-wolf" else EmpiricalCovariance()
        fitted = estimator.fit(self._vectors(reference))
        return Fitted(self, lambda images: -fitted.mahalanobis(self._vectors(images)))

    def _vectors(self, images: Features) -> np.ndarray:
        vectors = images.vectors
        if not self.normalized:
            return vectors
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(norms > 0, norms, 1)
