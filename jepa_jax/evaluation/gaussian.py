"""Detectors that take embeddings for Gaussian: Mahalanobis, PCA residual, mixtures."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from jepa_jax.evaluation.detector import Fitted
from jepa_jax.evaluation.features import Features


@dataclasses.dataclass(frozen=True)
class Mahalanobis:
    """-(z - m)^T S^-1 (z - m), m and S the reference embeddings' mean and covariance.

    `shrinkage="ledoit-wolf"`: S pulled towards a multiple of the identity by the amount that
    Ledoit and Wolf (2004) estimate, so that it holds with fewer images than dimensions.
    `shrinkage="none"`: the plain covariance and its pseudo-inverse, as in published evaluations;
    with about as many images as dimensions it separates its own images from all others.

    Raises `ValueError` with fewer than two reference images.
    Source: Lee et al., arXiv 1807.03888, without its classes. Cost: N K^2 to fit, K^2 an image.

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

    def __post_init__(self):
        if self.shrinkage not in ("ledoit-wolf", "none"):
            raise ValueError(
                f"`shrinkage` must be one of ('ledoit-wolf', 'none'), got {self.shrinkage!r}"
            )

    @property
    def name(self) -> str:
        how = "Ledoit-Wolf" if self.shrinkage == "ledoit-wolf" else "no shrinkage"
        return f"Mahalanobis, {how}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"embedding"})

    def fit(self, reference: Features) -> Fitted:
        from sklearn.covariance import EmpiricalCovariance, LedoitWolf

        check_reference(self.name, reference, 2)
        estimator = LedoitWolf() if self.shrinkage == "ledoit-wolf" else EmpiricalCovariance()
        fitted = estimator.fit(reference.vectors)
        return Fitted(self, lambda images: -fitted.mahalanobis(images.vectors))


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


@dataclasses.dataclass(frozen=True)
class GaussianMixture:
    """The log-density (nats) of a Gaussian mixture of whitened principal components of embeddings.

    Of up to `dimensions` principal components, but no more than one for ten reference images. The
    number of Gaussians is the one of `components` with the lowest BIC on the reference images.

    Raises `ValueError` with fewer than 20 reference images.
    Source: scikit-learn's `GaussianMixture`, full covariances.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Features, GaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> reference = Features(tuple(map(str, range(200))), rng.normal(size=(200, 3)))
    >>> images = Features(("near", "far"), np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]))
    >>> near, far = GaussianMixture().fit(reference).score(images)
    >>> bool(far < near)
    True
    """

    components: tuple[int, ...] = (1, 2, 4, 8, 16)
    dimensions: int = 32
    seed: int = 0

    @property
    def name(self) -> str:
        return "Gaussian mixture"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"embedding"})

    def fit(self, reference: Features) -> Fitted:
        from sklearn.mixture import GaussianMixture as Mixture

        whiten = principal_components(self.name, reference, self.dimensions)
        z = whiten(reference)
        mixtures = [
            # The components have unit variance: the ridge is a thousandth of it.
            Mixture(count, reg_covar=1e-3, max_iter=500, random_state=self.seed).fit(z)
            for count in self.components
            if 2 * count <= len(z)
        ]
        best = min(mixtures, key=lambda mixture: mixture.bic(z))
        return Fitted(self, lambda images: best.score_samples(whiten(images)))


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


def check_reference(name: str, reference: Features, fewest: int) -> None:
    """Raises where there are too few images to fit on."""
    if len(reference) < fewest:
        raise ValueError(f"{name} needs at least {fewest} reference images, got {len(reference)}")
