"""How scores agree with the true log-density, and what can be known without it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import pearsonr, spearmanr

from benchmarks.density.trained import POINTS, compiled, points, scored
from jepa_jax.scoring import log_density
from jepa_jax.training.config import Training
from jepa_jax.training.objectives import invariance, sigreg, uniformity, uniformity_floor


def agreement(found: np.ndarray, log_p: np.ndarray) -> dict[str, float]:
    """Rank and linear correlation with the true log-density, and the sd of the difference, nats."""
    if not np.isfinite(found).all() or np.ptp(found) == 0:
        return {"spearman": 0.0, "pearson": 0.0, "error_sd": float("nan")}
    return {
        "spearman": round(float(spearmanr(found, log_p).statistic), 4),
        "pearson": round(float(pearsonr(found, log_p).statistic), 4),
        "error_sd": round(float(np.std(found - log_p)), 4),
    }


def unsupervised(training: Training, model, x, z) -> dict[str, float]:
    """What can be known without the true density: losses, rank, folding."""
    noise = training.tables["views"]["noise"]
    z = jnp.asarray(z, jnp.float32)
    views = training.views(jnp.asarray(x), jax.random.key(1))
    embedded = jnp.stack([compiled(model)[1](view) for view in views])
    found = {
        "dirichlet": float(invariance(embedded) / noise**2),
        "sigreg": float(_sigreg(z, jax.random.key(2))),
        "effective_rank": effective_rank(np.asarray(z)),
        "neighbours_kept": neighbours_kept(np.asarray(x), np.asarray(z)),
    }
    if training.tables["encoder"].get("normalized"):
        floor = uniformity_floor(z.shape[1], 4.0)
        found["uniformity_gap"] = float(uniformity(z, sharpness=4.0)) - floor
    if z.shape[1] == x.shape[1]:
        found["folded"] = folded(model, x)
    return {name: round(value, 5) for name, value in found.items()}


_sigreg = jax.jit(functools.partial(sigreg, slices=256))


def effective_rank(z: np.ndarray) -> float:
    """exp of the entropy of the covariance's normalised eigenvalues (Roy and Vetterli, 2007)."""
    values = np.linalg.eigvalsh(np.cov(z.T).reshape(z.shape[1], -1)).clip(0)
    share = values[values > 0] / values.sum() if values.sum() > 0 else np.ones(1)
    return float(np.exp(-(share * np.log(share)).sum()))


def neighbours_kept(x: np.ndarray, z: np.ndarray, count: int = 2000) -> float:
    """Share of points whose nearest neighbour by embedding is among their 2 % nearest by input.

    Where a map folds, points from several sheets are neighbours.
    """
    x, z = x[:count].reshape(count, -1), z[:count]
    within = np.linalg.norm(x[:, None] - x[None], axis=-1) if x.shape[1] < 8 else _distances(x)
    nearest = _distances(z).argmin(1)
    np.fill_diagonal(within, np.inf)
    rank = (within < within[np.arange(count), nearest][:, None]).sum(1)
    return float((rank < 0.02 * count).mean())


def _distances(a: np.ndarray) -> np.ndarray:
    """Squared distances, infinite to oneself."""
    squares = np.square(a).sum(1)
    found = squares[:, None] + squares[None] - 2 * a @ a.T
    np.fill_diagonal(found, np.inf)
    return found


def folded(model, x) -> float:
    """Share of points where the map turns the other way: the rarer sign of det J."""
    matrices = compiled(model)[2](x)
    negative = float((np.linalg.slogdet(np.asarray(matrices, np.float64))[0] < 0).mean())
    return min(negative, 1 - negative)


def assess(training: Training, model, count: int = POINTS) -> dict[str, Any]:
    """Agreement of the score and the corrected score with the truth, and what needs no truth."""
    x = points(training, count)
    log_p = np.asarray(training.density.log_prob(x), np.float64)
    volume, z = scored(model, x)
    corrected = np.asarray(log_density(volume, z), np.float64)
    return {
        "score": agreement(volume, log_p),
        "corrected": agreement(corrected, log_p),
        **unsupervised(training, model, x, z),
    }
