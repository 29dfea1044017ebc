"""The score given something else of the image: how it stands among images alike in that."""

import dataclasses

import numpy as np

from jepa_jax.evaluation.detectors.column import title_of
from jepa_jax.evaluation.detectors.detector import Fitted, check_reference
from jepa_jax.evaluation.features import Features

_WORDS = {"embedding": "the embedding", "bits_per_pixel": "JPEG size"}


@dataclasses.dataclass(frozen=True)
class ConditionalScore:
    """(s - m) / d: m and d the mean and standard deviation of the scores of the `k` reference
    images that are nearest in what is `given`: cosine of embeddings, or JPEG bits per pixel.

    Low where an image scores lower than others like it, whatever their kind scores: "an odd image
    of a typical kind". What the given says itself is taken off, the complexity of the image, say.
    d is at least a thousandth of the deviation over all reference images.

    Raises `ValueError` where `k` is below 2 or above the number of reference images.
    Cost: a comparison with every reference image.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import ConditionalScore, Features
    >>> size, score = np.array([1.0, 1.1, 5.0, 5.1]), np.array([10.0, 12.0, 50.0, 52.0])
    >>> reference = Features(tuple("abcd"), None, {"jepa_score": score, "bits_per_pixel": size})
    >>> tested = {"jepa_score": np.array([13.0, 13.0]), "bits_per_pixel": np.array([1.0, 5.0])}
    >>> of_size = ConditionalScore("bits_per_pixel", k=2).fit(reference)
    >>> of_size.score(Features(("small", "large"), None, tested)).tolist()
    [2.0, -38.0]
    """

    given: str = "embedding"
    k: int = 20
    column: str = "jepa_score"

    def __post_init__(self):
        if self.given not in _WORDS:
            raise ValueError(f"`given` must be one of {tuple(_WORDS)}, got {self.given!r}")
        if self.k < 2:
            raise ValueError(f"`k` must be at least 2, got {self.k}")

    @property
    def name(self) -> str:
        return f"{title_of(self.column)} given {_WORDS[self.given]}, k = {self.k}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({self.column, self.given})

    def fit(self, reference: Features) -> Fitted:
        from sklearn.neighbors import NearestNeighbors

        check_reference(self.name, reference, self.k)
        metric = "cosine" if self.given == "embedding" else "euclidean"
        search = NearestNeighbors(n_neighbors=self.k, metric=metric, algorithm="brute")
        search.fit(self._where(reference))
        known = reference.column(self.column)
        least = max(1e-3 * known.std(), np.finfo(np.float64).tiny)

        def score(images: Features) -> np.ndarray:
            nearest = known[search.kneighbors(self._where(images))[1]]
            spread = np.maximum(nearest.std(1), least)
            return (images.column(self.column) - nearest.mean(1)) / spread

        return Fitted(self, score)

    def _where(self, images: Features) -> np.ndarray:
        if self.given == "embedding":
            return images.vectors
        return images.column(self.given)[:, None]
