"""Fitting the spectral sketch: what calibration images leave, and the regression on it."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax import linalg
from jepa_jax.estimators import factor as factors
from jepa_jax.estimators import settings
from jepa_jax.estimators.cotangents import choose_cotangents
from jepa_jax.estimators.estimate import Estimator
from jepa_jax.estimators.sketch import SPECTRUM, SketchCalibration
from jepa_jax.jacobian import Jacobian
from jepa_jax.jacobian import jacobian as jacobian_of_function

# Share of the prior variance that a block of features has, and whether its columns are brought to
# one scale. Chosen on real Jacobians, where a factor of 3 either way moved the error by less than
# 5 %; fixed, as a choice by leave-one-out was no better.
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
# The fewest images that a fit is worth: below, leave-one-out says little of the error.
FEWEST = 16
# Bytes of K x K matrices, of the first images, that are kept to choose cotangents from.
_PILOT_BYTES = 2**29


class Measurement(NamedTuple):
    """What one Jacobian leaves to a calibration.

    `score`: the exact log-volume, nats. `sketch` (P, M): a matrix L with
    L L^T = Omega J J^T Omega^T for P cotangents Omega, lower triangular (P, P) once these are
    chosen; for Omega = I before. `covariates`: the Jacobian's, flattened. `others`: what other
    estimators make of it.
    """

    score: Float[Array | np.ndarray, "*n"]
    sketch: Float[Array | np.ndarray, "*n p m"]
    covariates: Mapping[str, Float[Array | np.ndarray, "*n f"]]
    others: Mapping[str, Float[Array | np.ndarray, "*n"]] | None = None


def measure(
    jacobian: Jacobian,
    others: Mapping[str, Estimator] | None = None,
    key: PRNGKeyArray | None = None,
) -> Measurement:
    """The exact structural-rank score of a Jacobian and a square root of J J^T, from K VJPs.

    `sketch` is (K, live), by the unit cotangents: `restrict` takes it to others. `others` are
    estimators to compare: they run on the square root, with the singular values of J and at next
    to no cost. Raises `ValueError` where D is smaller than the live rows: a sketch has no place
    there.
    """
    if jacobian.shape[1] < jacobian.live:
        raise ValueError(
            f"a sketch needs D of at least {jacobian.live} (the live embedding dimensions), "
            f"got {jacobian.shape[1]}"
        )
    dtype = jacobian.value.dtype
    basis = jacobian.live_basis()
    factor = factors.factorise(jacobian.rows(basis.T))
    score = factors.log_volume(factor).astype(dtype)
    small = factors.root(factor).astype(dtype)
    flat = {name: jnp.ravel(value) for name, value in jacobian.covariates.items()}
    same = jacobian_of_function(lambda x: small @ x, jnp.zeros(small.shape[0], dtype))
    values = {name: e(same, key).log_volume for name, e in (others or {}).items()}
    root = jnp.matmul(basis, small, precision=jax.lax.Precision.HIGHEST)
    return Measurement(score, root, flat, values)


def restrict(measured: Measurement, cotangents: Float[np.ndarray, "p k"]) -> Measurement:
    """What `measure` found, for these cotangents: on the host, in float64."""
    root = np.asarray(measured.sketch)
    rows = np.asarray(cotangents, np.float64) @ root.astype(np.float64)
    upper = np.asarray(np.linalg.qr(rows.T, mode="r"))
    return measured._replace(sketch=upper.T.astype(root.dtype))


def choose_and_restrict(
    measured: Iterable[Measurement], cotangents: int, seed: int = 0
) -> tuple[Float[np.ndarray, "p k"], list[Measurement]]:
    """So many cotangents chosen from what `measure` found, and that restricted to them.

    They are chosen from all images, or as many of the first as have K x K matrices of half a GiB
    (900 at K = 384, 80 at K = 1280): these are kept until then.
    """
    measured = iter(measured)
    pilot = list(itertools.islice(measured, 1))
    if pilot:
        pilot += itertools.islice(measured, _PILOT_BYTES // np.asarray(pilot[0].sketch).nbytes)
    roots = [np.asarray(one.sketch) for one in pilot if np.isfinite(one.score)]
    if not roots:
        raise ValueError(
            f"a calibration needs at least {FEWEST} images, got 0 that have a finite score"
        )
    omega = choose_cotangents(roots, cotangents, seed)
    return omega, [restrict(one, omega) for one in itertools.chain(pilot, measured)]


def sketch_rows(jacobian: Jacobian, cotangents: Float[Array, "p k"]) -> Float[Array, "p p"]:
    """`Measurement.sketch` from P VJPs alone: in the precision that they are computed in."""
    root = factors.root(factors.factorise(jacobian.rows(cotangents)))
    with jax.enable_x64(root.dtype == jnp.float64):
        return linalg.qr_r(root.T).T.astype(jacobian.value.dtype)


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

    def scaled(by: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([(columns[b] - centres[b]) * by[b] for b in columns], axis=1)

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
        novelty_limit=single((1 / (1 - novelty)).max()),
        blocks=tuple(columns),
        rank=rank,
    )
    return SketchFit(
        calibration=calibration,
        scores=scores,
        predictions=scores - left_out,
        std_errors=sigma / np.sqrt(1 - leverage),
    )


def _inverse_spread(block: np.ndarray) -> np.ndarray:
    """1 / standard deviation of every column; 0 for one that is constant but for rounding."""
    spread = block.std(0)
    constant = spread <= 1e-6 * np.abs(block).max(0)
    return np.where(constant, 0, 1 / np.where(constant, 1, spread))


def _eigen(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(a @ a.T)
    return np.maximum(values, 0), vectors
