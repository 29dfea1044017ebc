"""Random cuts that isolate outliers early."""

import dataclasses

from jepa_jax.evaluation.detectors.detector import Fitted, check_reference
from jepa_jax.evaluation.features import Features


@dataclasses.dataclass(frozen=True)
class IsolationForest:
    """Minus the anomaly score of an isolation forest on the embeddings, in [-1, 0].

    Source: Liu, Ting, Zhou, Isolation Forest, ICDM 2008; scikit-learn's, of `trees` trees.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Features, IsolationForest
    >>> rng = np.random.default_rng(0)
    >>> reference = Features(tuple(map(str, range(200))), rng.normal(size=(200, 3)))
    >>> images = Features(("near", "far"), np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]))
    >>> near, far = IsolationForest(trees=20).fit(reference).score(images)
    >>> bool(far < near)
    True
    """

    trees: int = 200
    seed: int = 0

    @property
    def name(self) -> str:
        return "isolation forest"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"embedding"})

    def fit(self, reference: Features) -> Fitted:
        from sklearn.ensemble import IsolationForest as Forest

        check_reference(self.name, reference, 2)
        forest = Forest(n_estimators=self.trees, random_state=self.seed).fit(reference.vectors)
        return Fitted(self, lambda images: forest.score_samples(images.vectors))
