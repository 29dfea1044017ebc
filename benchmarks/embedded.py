"""How well the embedded encoder's exact score tells held-out digits from odd images.

    python benchmarks/embedded.py

prints one line a kind of image and writes benchmarks/results/embedded.json: the AUROC (probability
that a held-out digit scores higher than an image of the kind: one-sided, higher = typical) of the
trained encoder and of the same network with random parameters, and quantiles of the trained one's
score. "training digits" near .5 says that the score does not know its training images by heart.
About five minutes on two CPU cores.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from PIL import Image
from sklearn.metrics import roc_auc_score

from jepa_jax import Exact, jacobian, load_encoder
from jepa_jax.training.digits import load_digits
from jepa_jax.training.trainer import initial_model
from tools import odd_images as odd

RESULT = Path(__file__).parent / "results" / "embedded.json"
BATCH = 50


def exact_scorer(encoder):
    """A function of (state, PIL images): the exact JEPA-SCORE of each; compiled once."""

    def score(state, image):
        operator = jacobian(
            lambda x: encoder.embed(state, x),
            image,
            null_basis=lambda z: encoder.null_basis(state, z),
        )
        return Exact()(operator).log_volume

    batched = jax.jit(jax.vmap(score, (None, 0)))

    def scores(state, images: list[Image.Image]) -> np.ndarray:
        inputs = np.stack([encoder.preprocess(image) for image in images])
        batches = np.split(inputs, range(BATCH, len(inputs), BATCH))
        return np.concatenate([batched(state, batch) for batch in batches])

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
    labels = np.repeat([1, 0], [len(typical), len(odd_ones)])
    return round(float(roc_auc_score(labels, np.concatenate([typical, odd_ones]))), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--count", type=int, default=300, help="a multiple of 50, at most 500")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    encoder = load_encoder(args.encoder)
    scores = exact_scorer(encoder)
    untrained = nnx.state(initial_model(encoder.config, jax.random.key(0)))
    rows, typical = {}, {}
    for name, images in image_sets(args.count, args.seed).items():
        found = {"trained": scores(encoder.state, images), "untrained": scores(untrained, images)}
        typical = typical or found
        low, median, high = np.quantile(found["trained"], [0.05, 0.5, 0.95])
        rows[name] = {
            "auroc": auroc(typical["trained"], found["trained"]),
            "auroc_untrained": auroc(typical["untrained"], found["untrained"]),
            "score_5%": round(float(low), 1),
            "score_median": round(float(median), 1),
            "score_95%": round(float(high), 1),
        }
        print(
            f"{name:16} AUROC {rows[name]['auroc']:.3f}, untrained "
            f"{rows[name]['auroc_untrained']:.3f}   score {median:7.1f} ({low:.1f} to {high:.1f})",
            flush=True,
        )
    record = {
        "command": f"python benchmarks/embedded.py --count {args.count} --seed {args.seed}",
        "encoder": args.encoder,
        "fingerprint": encoder.fingerprint,
        "estimator": "Exact(): structural rank, float32 Jacobian, float64 factorisation",
        "versions": {name: version(name) for name in ("jax", "pillow", "scikit-learn")},
        "sets": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
