"""The density of a Gaussian mixture of embeddings."""

import dataclasses

from jepa_jax.evaluation.detectors.detector import Fitted
from jepa_jax.evaluation.detectors.pca import principal_components
from jepa_jax.evaluation.features import Features


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
