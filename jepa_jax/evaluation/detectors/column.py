"""Detectors that read one number an image: the JEPA-SCORE, and the controls beside it."""

import dataclasses

import numpy as np

from jepa_jax.evaluation.detectors.detector import Fitted
from jepa_jax.evaluation.features import Features

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
