"""AUROC of held-out digits against images of every kind, by an exact score."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from PIL import Image

from benchmarks.shared import odd_images as odd
from jepa_jax import Exact, jacobian, load_encoder
from jepa_jax.evaluation import detection_metrics
from jepa_jax.training.digits import load_digits
from jepa_jax.training.trainer import initial_model

BATCH = 50


def exact_scorer(encoder):
    """A function of (state, PIL images): exact JEPA-SCOREs, and embeddings; compiled once."""

    def score(state, image):
        operator = jacobian(
            lambda x: encoder.embed(state, x),
            image,
            null_basis=lambda z: encoder.null_basis(state, z),
        )
        return Exact()(operator).log_volume, operator.value

    batched = jax.jit(jax.vmap(score, (None, 0)))

    def scores(state, images: Sequence[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        inputs = np.stack([encoder.preprocess(image) for image in images])
        batches = np.split(inputs, range(BATCH, len(inputs), BATCH))
        each = [batched(state, batch) for batch in batches]
        values, embeddings = (np.concatenate(parts) for parts in zip(*each, strict=True))
        return values, embeddings

    return scores


def image_sets(count: int, seed: int) -> dict[str, list[Image.Image]]:
    """`count` images of each kind, drawn by `seed`."""
    training, held_out, _ = load_digits()

    def draw(digits, rng):
        chosen = rng.choice(len(digits.images), count, replace=False)
        return [Image.fromarray((255 * digits.images[i]).round().astype(np.uint8)) for i in chosen]

    rng = np.random.default_rng(seed)
    sets = {"held-out digits": draw(held_out, rng), "training digits": draw(training, rng)}
    digits = sets["held-out digits"]
    for name, spoil in odd.SPOILED.items():
        sets[name] = [spoil(digit, rng) for digit in digits]
    sets["overlapped"] = [odd.overlapped(digits[i - 1], digits[i]) for i in range(count)]
    for name, make in odd.DRAWN.items():
        sets[name] = [make(rng) for _ in range(count)]
    return sets


def auroc(typical: np.ndarray, odd_ones: np.ndarray) -> float:
    """The probability that one of `typical` scores higher, to three digits."""
    return round(detection_metrics(typical, odd_ones).auroc, 3)


def run(name: str, count: int, seed: int) -> dict:
    """AUROC of held-out digits against every kind, trained and not, and quantiles of the scores."""
    encoder = load_encoder(name)
    scores = exact_scorer(encoder)
    untrained = nnx.state(initial_model(encoder.config, jax.random.key(0)))
    rows, typical = {}, {}
    for kind, images in image_sets(count, seed).items():
        states = {"trained": encoder.state, "untrained": untrained}
        found = {name: scores(state, images)[0] for name, state in states.items()}
        typical = typical or found
        low, median, high = np.quantile(found["trained"], [0.05, 0.5, 0.95])
        rows[kind] = {
            "auroc": auroc(typical["trained"], found["trained"]),
            "auroc_untrained": auroc(typical["untrained"], found["untrained"]),
            "score_5%": round(float(low), 1),
            "score_median": round(float(median), 1),
            "score_95%": round(float(high), 1),
        }
        print(
            f"{kind:16} AUROC {rows[kind]['auroc']:.3f}, untrained "
            f"{rows[kind]['auroc_untrained']:.3f}   score {median:7.1f} ({low:.1f} to {high:.1f})",
            flush=True,
        )
    return {
        "encoder": Path(name).name,
        "fingerprint": encoder.fingerprint,
        "estimator": "Exact(): structural rank, float32 Jacobian, float64 factorisation",
        "sets": rows,
    }
