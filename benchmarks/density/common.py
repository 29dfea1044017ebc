"""What the experiments share: trained encoders, kept for the next one, and what is measured."""

import functools
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from scipy.stats import pearsonr, spearmanr

from jepa_jax import Exact, jacobian
from jepa_jax.scoring import log_density
from jepa_jax.training.config import Training, read_model
from jepa_jax.training.networks import null_basis
from jepa_jax.training.objectives import invariance, sigreg, uniformity, uniformity_floor
from jepa_jax.training.training_run import run

HERE = Path(__file__).parent
TRAINED = HERE.parent.parent / "build" / "density"
# Equal programs, as of two seeds, are compiled once.
jax.config.update("jax_compilation_cache_dir", str(TRAINED / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
POINTS = 5000
EVALUATION_KEY = 10_000


def trained(config: str, changes: Mapping[str, Any]) -> tuple[Training, nnx.Module]:
    """The encoder of a committed configuration with changes; trained once, then read."""
    training = Training.read(config, changes)
    settings = json.dumps({"seed": training.seed, **training.tables}, sort_keys=True)
    folder = TRAINED / hashlib.sha256(settings.encode()).hexdigest()[:16]
    if (folder / "encoder").is_dir():
        return training, read_model(folder / "encoder", training)
    print(f"training {config} {dict(changes)}", flush=True)
    return training, run(training, folder, report_every=100)


def points(training: Training, count: int = POINTS, key: int = EVALUATION_KEY) -> jax.Array:
    """Held-out samples of the density."""
    return training.density.sample(jax.random.key(key), count)


@functools.cache
def _compiled(graph: nnx.GraphDef, normalized: bool):
    """Scores with embeddings, embeddings, and Jacobians, of batches of points; compiled once."""

    def score(state, x):
        operator = jacobian(
            nnx.merge(graph, state), x, null_basis=lambda z: null_basis(normalized, z)
        )
        return Exact()(operator).log_volume, operator.value

    def embed(state, x):
        return nnx.merge(graph, state)(x)

    return tuple(
        jax.jit(jax.vmap(f, (None, 0))) for f in (score, embed, jax.jacfwd(embed, argnums=1))
    )


def compiled(model: nnx.Module):
    """The functions of points that belong to a model."""
    graph, state = nnx.split(model)
    return tuple(functools.partial(f, state) for f in _compiled(graph, model.config.normalized))


def scored(model, x) -> tuple[np.ndarray, np.ndarray]:
    """The exact scores and the embeddings of points (N, ...)."""
    volume, z = compiled(model)[0](x)
    return np.asarray(volume, np.float64), np.asarray(z, np.float64)


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


def write(name: str, record: Mapping[str, Any], table: list[str]) -> None:
    """The committed result: NAME.json, and NAME.md with its table."""
    versions = {package: version(package) for package in ("jax", "flax", "optax", "scipy")}
    record = {"command": f"python benchmarks/density/{name}.py", "versions": versions, **record}
    (HERE / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (HERE / f"{name}.md").write_text("\n".join(table) + "\n")
    print("\n".join(table), flush=True)


def bars(name: str, groups: Mapping[str, Mapping[str, float]], label: str, at: float) -> None:
    """NAME.png: a horizontal bar a figure, grouped, with a line `at` what guessing gives."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    series = list(dict.fromkeys(key for values in groups.values() for key in values))
    figure, ax = plt.subplots(
        figsize=(8, 1 + 0.22 * len(groups) * (len(series) + 0.6)), constrained_layout=True
    )
    for i, key in enumerate(series):
        held = [(j, values[key]) for j, values in enumerate(groups.values()) if key in values]
        place = [j + (i - (len(series) - 1) / 2) * 0.8 / len(series) for j, _ in held]
        drawn = ax.barh(place, [v - at for _, v in held], 0.8 / len(series), left=at, label=key)
        ax.bar_label(drawn, [f"{v:.2f}" for _, v in held], padding=3, fontsize=8)
    ax.set_yticks(range(len(groups)), list(groups))
    ax.invert_yaxis()
    ax.axvline(at, color="black", linewidth=0.8)
    ax.margins(x=0.12)
    ax.set_xlabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=len(series), frameon=False)
    figure.savefig(HERE / f"{name}.png", dpi=90)
    plt.close(figure)


def markdown(header: list[str], rows: list[list[Any]]) -> list[str]:
    """A table's lines."""
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(map(str, row)) + " |" for row in cells]
