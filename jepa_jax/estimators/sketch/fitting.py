"""Fitting the spectral sketch: what calibration images leave, and the regression on it."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jepa_jax.estimators import settings
from jepa_jax.estimators.sketch.covariate_features import SPECTRUM
from jepa_jax.estimators.sketch.estimator import SketchCalibration
from jepa_jax.estimators.sketch.measurement import FEWEST, Measurement, choose_and_restrict, measure
from jepa_jax.jacobian_operator import Jacobian

# Share of the prior variance that a block of features has, and whether its columns are brought to
# one scale. Chosen on real Jacobians, where the error hardly depends on them; fixed, as a choice by
# leave-one-out was no better.
_SHARES: dict[str, tuple[float, bool]] = {
    SPECTRUM: (1.0, True),
    "depth": (0.2, True),
    "norms": (0.02, True),
    "tokens": (0.01, False),
    "embedding": (0.01, False),
}
_SHARE_OF_OTHERS = (0.01, False)
_PENALTIES = np.exp(np.arange(-9, 3, 0.5))
_NOVELTY_PENALTY = 0.1
# The share of images like the calibration's that are flagged.
_FLAGGED = 0.02


def spearman(a: Any, b: Any) -> float:
    """Rank correlation of two arrays."""
    import scipy.stats  # Slow to import, and of no use to whoever only scores.

    found: Any = scipy.stats.spearmanr(a, b)
    return float(found.statistic)


@dataclasses.dataclass(frozen=True)
class SketchFit:
    """A calibration, and what leave-one-out says of it (arrays over the n calibration images).

    `predictions`: each image's score predicted from the others; `std_errors`: as they would have
    been reported; `scores`: the exact ones. All in nats.

    >>> import numpy as np
    >>> from jepa_jax.estimators import SketchSamples
    >>> from jepa_jax.estimators.sketch.measurement import Measurement
    >>> sizes = np.geomspace(0.5, 2, 20)  # 20 Jacobians, each a multiple of the identity
    >>> measured = Measurement(4 * np.log(sizes), sizes[:, None, None] * np.eye(2), {})
    >>> fit = SketchSamples(np.eye(2, 4), measured, rank=4).fit(1)
    >>> fit.rmse < 0.01, fit.coverage(errors=4.0)
    (True, 1.0)
    """

    calibration: SketchCalibration
    scores: Float[np.ndarray, " n"]
    predictions: Float[np.ndarray, " n"]
    std_errors: Float[np.ndarray, " n"]

    @property
    def rmse(self) -> float:
        """Root mean square of the leave-one-out residuals, nats."""
        return float(np.sqrt(np.square(self.predictions - self.scores).mean()))

    @property
    def spearman(self) -> float:
        """Rank correlation of leave-one-out predictions and exact scores."""
        return spearman(self.predictions, self.scores)

    def coverage(self, errors: float) -> float:
        """Share of images whose exact score is within so many standard errors."""
        inside = np.abs(self.predictions - self.scores) <= errors * self.std_errors
        return float(inside.mean())


@dataclasses.dataclass(frozen=True)
class SketchSamples:
    """Measurements of n calibration images: enough to fit a sketch of any p up to P.

    `cotangents` (P, K); `measured`, NumPy arrays with n as their first axis; `rank`, the number of
    singular values in the exact scores.

    Raises `ValueError` on fewer than 16 images, or on scores that are not finite.

    >>> import numpy as np
    >>> from jepa_jax.estimators import SketchSamples
    >>> from jepa_jax.estimators.sketch.measurement import Measurement
    >>> sizes = np.geomspace(0.5, 2, 20)  # 20 Jacobians, each a multiple of the identity
    >>> measured = Measurement(4 * np.log(sizes), sizes[:, None, None] * np.eye(2), {})
    >>> samples = SketchSamples(np.eye(2, 4), measured, rank=4)
    >>> fit = samples.fit(2)
    >>> fit.calibration.cotangents.shape, round(fit.spearman, 3)
    ((2, 4), 1.0)
    """

    cotangents: Float[np.ndarray, "p k"]
    measured: Measurement
    rank: int

    def __post_init__(self):
        scores = self.measured.score
        if len(scores) < FEWEST:
            raise ValueError(f"a calibration needs at least {FEWEST} images, got {len(scores)}")
        if not np.isfinite(scores).all():
            raise ValueError(
                f"{(~np.isfinite(scores)).sum()} of {len(scores)} calibration scores are not finite"
            )

    @classmethod
    def measure(
        cls, jacobians: Iterable[Jacobian], cotangents: int, seed: int = 0
    ) -> "SketchSamples":
        """Samples from Jacobians of one K, one after the other, by `cotangents` chosen rows."""
        rank = 0

        def measured() -> Iterator[Measurement]:
            nonlocal rank
            for jacobian in jacobians:
                rank = jacobian.live
                yield jax.tree.map(np.asarray, measure(jacobian))

        omega, found = choose_and_restrict(measured(), cotangents, seed)
        return cls(omega, jax.tree.map(lambda *leaves: np.stack(leaves), *found), rank)

    def fit(self, count: int, blocks: Iterable[str] | None = None) -> SketchFit:
        """The ridge regression of the scores on the features of the first `count` cotangents.

        Features a (F) of zero mean, in blocks of a fixed share of the variance; with
        A (n, F) their rows, the prediction is mean(y) + a A^T (A A^T + alpha I)^-1 (y - mean(y)).
        alpha minimises the leave-one-out error, which is had in closed form from the leverages
        h_i = 1/n + [A A^T (A A^T + alpha I)^-1]_ii as r_i / (1 - h_i). The standard error of a new
        image of leverage v = |a|^2 - a A^T (A A^T + alpha I)^-1 A a^T is
        sigma sqrt(1 + 1/n + v / alpha), with sigma^2 = mean(r_i^2 / (1 - h_i)).

        An image is `flagged` whose leverage, by the spectrum and the covariates that are logs of a
        few sizes ("depth", "norms") alone, on an equal footing, exceeds what 2 % of the calibration
        images have as seen by the others (of fewer than 50, the largest).

        `blocks`: "spectrum" and names of covariates (default: all). Raises `ValueError` on a
        `count` outside 1 to P, or an unknown block.

        Cost: n^2 F operations in float64, on the host.
        """
        most = len(self.cotangents)
        settings.check_at_least("count", count, 1)
        if count > most:
            raise ValueError(f"`count` must be at most {most}, as many were measured, got {count}")
        known = (SPECTRUM, *self.measured.covariates)
        blocks = tuple(known if blocks is None else blocks)
        unknown = [name for name in blocks if name not in known]
        if unknown or not blocks:
            raise ValueError(f"`blocks` must be of {known}, got {unknown or blocks}")
        columns = {name: self._columns(name, count) for name in blocks}
        scores = np.asarray(self.measured.score, np.float64)
        return _fit(columns, scores, self.cotangents[:count], self.rank)

    def _columns(self, name: str, count: int) -> Float[np.ndarray, "n f"]:
        """One block of features, (n, F) float64."""
        if name != SPECTRUM:
            return np.asarray(self.measured.covariates[name], np.float64)
        leading = np.asarray(self.measured.sketch, np.float64)[:, :count, :count]
        squares = np.square(np.linalg.svd(leading, compute_uv=False))
        return np.log(np.concatenate([squares, squares.sum(1, keepdims=True)], axis=1))


def _fit(
    columns: dict[str, np.ndarray], scores: np.ndarray, cotangents: np.ndarray, rank: int
) -> SketchFit:
    centres, scales, novelty_scales = {}, {}, {}
    for name, block in columns.items():
        share, standardised = _SHARES.get(name, _SHARE_OF_OTHERS)
        centres[name] = block.mean(0)
        centred = block - centres[name]
        scale = _inverse_spread(block) if standardised else np.ones(block.shape[1])
        size = np.square(centred * scale).sum(1).mean()
        scale = scale / np.sqrt(size) if size > 0 else 0 * scale
        scales[name], novelty_scales[name] = scale * np.sqrt(share), scale

    # Thousands of coordinates of tokens and embeddings, all new in every image, hide what is new in
    # the few that say how the image is processed.
    few = [b for b in columns if _SHARES.get(b, _SHARE_OF_OTHERS)[1]] or list(columns)
    novelty_scales = {name: novelty_scales[name] for name in few}

    def scaled(by: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([(columns[b] - centres[b]) * by[b] for b in by], axis=1)

    n, mean = len(scores), scores.mean()
    a = scaled(scales)
    values, vectors = _eigen(a)
    rotated = vectors.T @ (scores - mean)
    best = None
    for penalty in _PENALTIES:
        shrink = values / (values + penalty)
        leverage = 1 / n + np.square(vectors) @ shrink
        left_out = (scores - mean - vectors @ (shrink * rotated)) / np.maximum(1 - leverage, 1e-6)
        loss = np.square(left_out).mean()
        if best is None or loss < best[0]:
            best = (loss, penalty, left_out, leverage)
    assert best is not None
    _, penalty, left_out, leverage = best
    sigma = np.sqrt((np.square(left_out) * (1 - leverage)).mean())

    novel = scaled(novelty_scales)
    novel_values, novel_vectors = _eigen(novel)
    novelty = 1 / n + np.square(novel_vectors) @ (novel_values / (novel_values + _NOVELTY_PENALTY))

    novel_roots = np.sqrt(novel_values + _NOVELTY_PENALTY)
    single = lambda array: jnp.asarray(array, jnp.float32)
    calibration = SketchCalibration(
        cotangents=single(cotangents),
        centres={name: single(c) for name, c in centres.items()},
        scales={name: single(c) for name, c in scales.items()},
        coefficients=single(a.T @ (vectors @ (rotated / (values + penalty)))),
        offset=single(mean),
        projection=single(a.T @ (vectors / np.sqrt(values + penalty))),
        penalty=single(penalty),
        sigma=single(sigma),
        novelty_scales={name: single(c) for name, c in novelty_scales.items()},
        novelty_projection=single(novel.T @ (novel_vectors / novel_roots)),
        novelty_penalty=single(_NOVELTY_PENALTY),
        # Each image's novelty as seen by the others.
        novelty_limit=single(_conformal_limit(1 / (1 - novelty))),
        blocks=tuple(columns),
        rank=rank,
    )
    return SketchFit(
        calibration=calibration,
        scores=scores,
        predictions=scores - left_out,
        std_errors=sigma / np.sqrt(1 - leverage),
    )


def _conformal_limit(novelty: np.ndarray) -> float:
    """What a new image like the n others exceeds with a probability of about `_FLAGGED`.

    As conformal prediction from leave-one-out values (Barber et al., Ann. Statist. 2021): their
    ceil((n + 1)(1 - _FLAGGED))-th smallest; the largest where n is too small for that.
    """
    n = len(novelty)
    return np.sort(novelty)[min(n, int(np.ceil((n + 1) * (1 - _FLAGGED)))) - 1]


def _inverse_spread(block: np.ndarray) -> np.ndarray:
    """1 / standard deviation of every column; 0 for one that is constant but for rounding."""
    spread = block.std(0)
    constant = spread <= 1e-6 * np.abs(block).max(0)
    return np.where(constant, 0, 1 / np.where(constant, 1, spread))


def _eigen(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(a @ a.T)
    return np.maximum(values, 0), vectors
