"""What detectors read of images: embeddings and columns, one row an image."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Features:
    """N images as detectors see them.

    `ids` (N,); `embedding` (N, K) or None; `columns`: name to values (N,), such as `jepa_score`
    (nats), `log_frobenius` (nats), `bits_per_pixel`.

    Raises `ValueError` on parts of different lengths or non-finite values.

    >>> import numpy as np
    >>> from jepa_jax.evaluation import Features
    >>> images = Features(("a", "b"), np.eye(2), {"jepa_score": np.array([1.0, 2.0])})
    >>> len(images), images.take([1]).ids, images.column("jepa_score")
    (2, ('b',), array([1., 2.]))
    """

    ids: tuple[str, ...]
    embedding: Float[np.ndarray, "n k"] | None = None
    columns: Mapping[str, Float[np.ndarray, " n"]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        parts = dict(self.columns)
        if self.embedding is not None:
            parts["embedding"] = self.embedding
        for name, values in parts.items():
            if np.shape(values)[:1] != (len(self.ids),):
                raise ValueError(
                    f"`{name}` must have one row for each of {len(self.ids)} ids, "
                    f"got shape {np.shape(values)}"
                )
            if not np.isfinite(values).all():
                raise ValueError(f"`{name}` must be finite")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def names(self) -> frozenset[str]:
        """What there is: names of columns, and "embedding"."""
        return frozenset(self.columns) | ({"embedding"} if self.embedding is not None else set())

    def column(self, name: str) -> Float[np.ndarray, " n"]:
        """A column as float64; `ValueError` names those that there are."""
        if name not in self.columns:
            raise ValueError(f"no column {name!r}; there are {sorted(self.columns)}")
        return np.asarray(self.columns[name], np.float64)

    @property
    def vectors(self) -> Float[np.ndarray, "n k"]:
        """The embeddings as float64; `ValueError` where there are none."""
        if self.embedding is None:
            raise ValueError("these features have no embeddings")
        return np.asarray(self.embedding, np.float64)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Features":
        """The images at `indices`, or under a mask, in that order."""
        wanted = np.asarray(indices)
        chosen = np.arange(len(self))[wanted if wanted.size else slice(0)]
        return Features(
            tuple(self.ids[i] for i in chosen),
            None if self.embedding is None else self.embedding[chosen],
            {name: np.asarray(values)[chosen] for name, values in self.columns.items()},
        )
