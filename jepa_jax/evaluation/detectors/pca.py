"""What of an embedding lies outside of the reference's principal directions."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from jepa_jax.evaluation.detectors.detector import Fitted, check_reference
from jepa_jax.evaluation.features import Features


@dataclasses.dataclass(frozen=True)
class PCAResidual:
    """-||z - m - P P^T (z - m)||, P the principal directions that hold `explained` of the variance.

    What of an embedding lies outside of the subspace that the reference images fill.

    Raises `ValueError` on `explained` outside (0, 1), or fewer than two reference images.
    Source: the residual of Wang et al., ViM, arXiv 2203.10807, without its logit.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Features, PCAResidual
    >>> rng = np.random.default_rng(0)
    >>> reference = Features(tuple(map(str, range(200))), rng.normal(size=(200, 3)) * [1, 1, 0.01])
    >>> images = Features(("near", "far"), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> near, far = PCAResidual().fit(reference).score(images)
    >>> bool(far < near)
    True
    """

    explained: float = 0.95

    def __post_init__(self):
        if not 0 < self.explained < 1:
            raise ValueError(f"`explained` must be in (0, 1), got {self.explained}")

    @property
    def name(self) -> str:
        return f"PCA residual, {self.explained:.0%} kept"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"embedding"})

    def fit(self, reference: Features) -> Fitted:
        from sklearn.decomposition import PCA

        check_reference(self.name, reference, 2)
        pca = PCA(self.explained, svd_solver="full").fit(reference.vectors)
        mean, directions = pca.mean_, np.asarray(pca.components_)

        def score(images: Features) -> Float[np.ndarray, " n"]:
            centred = images.vectors - mean
            kept = centred @ directions.T @ directions
            return -np.linalg.norm(centred - kept, axis=1)

        return Fitted(self, score)


def principal_components(name: str, reference: Features, most: int):
    """A function from features to their whitened principal components, one for ten images."""
    from sklearn.decomposition import PCA

    check_reference(name, reference, 20)
    vectors = reference.vectors
    # Directions without variance (of a final LayerNorm, say) cannot be whitened.
    scale = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)
    live = int((scale > scale[0] * math.sqrt(np.finfo(np.float32).eps)).sum())
    count = max(1, min(most, live, len(vectors) // 10))
    pca = PCA(count, whiten=True, svd_solver="full").fit(vectors)
    return lambda images: pca.transform(images.vectors)
