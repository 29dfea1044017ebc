"""Maps of shares, and of what masking each patch does to the score."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from benchmarks.frontier.baselines import random_cotangents
from benchmarks.shared.tables import table
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.estimators import volume as volumes
from jepa_jax.estimators.shares import pooled, shares_of_rows
from jepa_jax.scoring.numerics import numerics

COUNTS = (24, 48, 96)
MASKS = ("own mean", "grey")


def masked(image: np.ndarray, size: int, row: int, column: int, mask: str) -> np.ndarray:
    """The input with one patch at its own mean colour, or at 0, the mean of the encoder's images.

    >>> image = np.arange(16.0).reshape(4, 4, 1)
    >>> masked(image, 2, 0, 1, "own mean")[..., 0].tolist()[:2]
    [[0.0, 1.0, 4.5, 4.5], [4.0, 5.0, 4.5, 4.5]]
    """
    there = np.s_[row * size : (row + 1) * size, column * size : (column + 1) * size]
    found = image.copy()
    found[there] = image[there].mean((0, 1)) if mask == "own mean" else 0
    return found


@functools.partial(jax.jit, static_argnums=0)
def _measure(encoder: Encoder, state, image, omega) -> dict[str, jax.Array]:
    """The exact score, and maps: shares, exactly and from rows, and of the squared norm of J."""
    operator = jacobian_of(encoder, state, image, 16)
    shape, basis = operator.input_shape, operator.live_basis()
    rows = operator.rows(basis.T)
    found = volumes.volume(rows, leverages=True)
    few = jnp.matmul(omega, basis, precision=jax.lax.Precision.HIGHEST)
    sketches = {
        f"p = {p}": shares_of_rows(
            jnp.matmul(few[:p], rows, precision=jax.lax.Precision.HIGHEST), operator.live
        )
        for p in COUNTS
    }
    squares = jnp.square(rows).sum(0)
    maps = {"exact": found.leverages, "norm": operator.live * squares / squares.sum(), **sketches}
    return {"score": found.value} | {name: pooled(m, shape) for name, m in maps.items()}


def run(encoder: Encoder, inputs: Sequence[np.ndarray]) -> dict:
    """All maps of all images, and their figures."""
    omega = random_cotangents(encoder.embedding_size, max(COUNTS), 0)
    size = encoder.config.patch_size

    def measured(image: np.ndarray) -> dict[str, np.ndarray]:
        with numerics("highest"):
            found = _measure(encoder, encoder.state, image, omega)
        return jax.tree.map(lambda a: np.asarray(a, np.float64), found)

    images = []
    for number, image in enumerate(inputs):
        found = measured(image)
        rows, columns = found["exact"].shape
        for mask in MASKS:
            found[mask] = np.array(
                [
                    [
                        found["score"] - measured(masked(image, size, r, c, mask))["score"]
                        for c in range(columns)
                    ]
                    for r in range(rows)
                ]
            )
        images.append(found)
        print(f"image {number + 1} of {len(inputs)}", flush=True)
    maps = [{name: value.tolist() for name, value in one.items()} for one in images]
    return {**figures(images), "maps": maps}


def figures(images: Sequence[dict[str, np.ndarray]]) -> dict:
    """Rank correlations within images, over the images' patches; and how right a few rows are."""
    others = ("exact", "norm", *(f"p = {p}" for p in COUNTS))
    masking = []
    for mask in MASKS:
        for name in others:
            lost = [_ranked(one[name], one[mask]) for one in images]
            moved = [_ranked(one[name], np.abs(one[mask])) for one in images]
            masking.append({"mask": mask, "map": name} | _of(lost, "lost") | _of(moved, "moved"))
    estimated = []
    for name in others[1:]:
        error = np.concatenate([(one[name] - one["exact"]).ravel() for one in images])
        ranked = [_ranked(one[name], one["exact"]) for one in images]
        rms = float(np.sqrt(np.square(error).mean()))
        estimated.append({"map": name, "rms": rms} | _of(ranked, "spearman"))
    exact = np.stack([one["exact"] for one in images])
    drops = {mask: np.stack([one[mask] for one in images]) for mask in MASKS}
    return {
        "images": len(images),
        "patches": int(exact[0].size),
        "rank": float(exact.sum((1, 2)).mean()),
        "largest_error_of_the_sum": float(
            np.abs(exact.sum((1, 2)) - exact.sum((1, 2)).round()).max()
        ),
        "share_sd_within_images": float(exact.std((1, 2)).mean()),
        "share_range": [float(exact.min()), float(exact.max())],
        "drop_mean": {mask: float(d.mean()) for mask, d in drops.items()},
        "drop_sd_within_images": {mask: float(d.std((1, 2)).mean()) for mask, d in drops.items()},
        "masking": masking,
        "estimated": estimated,
    }


def _ranked(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a.ravel(), b.ravel()).statistic)


def _of(values: Sequence[float], name: str) -> dict[str, float]:
    return {
        name: float(np.mean(values)),
        f"{name}_least": float(min(values)),
        f"{name}_most": float(max(values)),
    }


def page(found: dict) -> str:
    """The result as Markdown."""
    low, high = found["share_range"]
    drops = ", ".join(
        f"{mask}: {found['drop_mean'][mask]:.1f} (sd within an image "
        f"{found['drop_sd_within_images'][mask]:.1f})"
        for mask in MASKS
    )
    three = lambda row, name: [row[name], row[f"{name}_least"], row[f"{name}_most"]]
    return f"""# Shares of patches beside what masking does: {found["encoder"]}, {
        found["image_size"]
    } px

{found["images"]} crops of photographs, {found["patches"]} patches each; shares sum to
{found["rank"]:.0f} within {found["largest_error_of_the_sum"]:.0e} and lie between {low:.1f} and
{high:.1f} (sd within an image {found["share_sd_within_images"]:.2f}). What an image's score loses
with one patch masked, nats: {drops}.

Rank correlation within an image, over its patches: of each map with what the score loses when the
patch is masked, and with how much it moves either way; mean, least and most over images. `norm`:
the patch's part in the squared Frobenius norm of J. `p = ...`: shares estimated from so many random
rows.

{
        table(
            ["mask", "map", "lost", "least", "most", "moved", "least", "most"],
            [
                [r["mask"], r["map"], *three(r, "lost"), *three(r, "moved")]
                for r in found["masking"]
            ],
        )
    }

Beside the exact shares: the root mean square of the difference, and the rank correlation within an
image.

{
        table(
            ["map", ("rms", 2), "Spearman", "least", "most"],
            [[r["map"], r["rms"], *three(r, "spearman")] for r in found["estimated"]],
        )
    }
"""
