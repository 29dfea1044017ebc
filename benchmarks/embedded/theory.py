"""Why a small encoder's score is no density of its digits: fading, blur, and the embedding's part.

Where f(c x) = f(x), the Jacobian at c x is that at x over c, and the score rises by K log(1/c): an
encoder that does not see the contrast, by its normalisations or by training, takes a fading image
for more and more typical. The embedding's own density, the other term of log p(x), may mend it.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from flax import nnx
from PIL import Image, ImageFilter

from benchmarks.embedded.kinds import auroc, exact_scorer, image_sets
from jepa_jax import load_encoder
from jepa_jax.evaluation import CorrectedScore, Features
from jepa_jax.training.trainer import initial_model

CONTRASTS = (0.7, 0.5, 0.35, 0.25)
BLURS = (0.5, 1.0, 1.5, 2.0)
LIVE = 62
"""Live dimensions of the embedding: all 64 but the two that a LayerNorm at the end leaves still."""

TYPICAL, REFERENCE = "held-out digits", "training digits"


def faded(image: Image.Image, contrast: float) -> Image.Image:
    """A digit on black, its pixels times `contrast`."""
    return image.point([round(contrast * value) for value in range(256)] * len(image.getbands()))


def blurred(image: Image.Image, pixels: float) -> Image.Image:
    """A digit under a Gaussian of so many pixels."""
    return image.filter(ImageFilter.GaussianBlur(pixels))


def run(encoders: dict[str, str], count: int, seed: int) -> dict:
    """What fading and blurring add to the score, and AUROC by kind of the score alone and with the
    embedding's density; of the encoders by name, and of the first one untrained."""
    found = {}
    sets = image_sets(count, seed)
    for name, where in encoders.items():
        encoder = load_encoder(where)
        measured = exact_scorer(encoder)
        found[name] = _of_one(lambda images, m=measured, e=encoder: m(e.state, images), sets)
        if len(found) == 1:
            state = nnx.state(initial_model(encoder.config, jax.random.key(0)))
            found["untrained"] = _of_one(lambda images, m=measured, s=state: m(s, images), sets)
        print(name, found[name]["rises"], flush=True)
    return {"encoders": found, "count": count, "live": LIVE}


def _of_one(
    measure: Callable[[Sequence[Image.Image]], tuple[np.ndarray, np.ndarray]],
    sets: dict[str, list[Image.Image]],
) -> dict:
    digits = sets[TYPICAL]
    before, _ = measure(digits)
    rises = {}
    for spoil, strengths in ((faded, CONTRASTS), (blurred, BLURS)):
        for strength in strengths:
            after, _ = measure([spoil(digit, strength) for digit in digits])
            rises[f"{spoil.__name__} {strength:g}"] = float(np.median(after - before))
    features = {}
    for kind, images in sets.items():
        scores, vectors = measure(images)
        names = tuple(f"{kind} {i}" for i in range(len(images)))
        features[kind] = Features(names, vectors, {"jepa_score": scores})
    corrected = CorrectedScore("fitted").fit(features[REFERENCE])
    typical = features[TYPICAL]
    own, both = typical.column("jepa_score"), corrected.score(typical)
    rows = {
        kind: {
            "score": auroc(own, each.column("jepa_score")),
            "corrected": auroc(both, corrected.score(each)),
        }
        for kind, each in features.items()
        if kind != TYPICAL
    }
    return {"rises": rises, "auroc": rows}


def page(result: dict) -> str:
    """Two tables."""
    encoders = result["encoders"]
    rises = next(iter(encoders.values()))["rises"]
    lines = ["| | K log(1/c) | " + " | ".join(encoders) + " |", "|---" * (2 + len(encoders)) + "|"]
    for name in rises:
        kind, strength = name.split(" ")
        by_theory = f"{LIVE * np.log(1 / float(strength)):.0f}" if kind == "faded" else ""
        each = " | ".join(f"{e['rises'][name]:+.0f}" for e in encoders.values())
        lines.append(f"| {name} | {by_theory} | {each} |")
    kinds = [k for k in next(iter(encoders.values()))["auroc"] if k != REFERENCE]
    heads = [f"{name}{part}" for name in encoders for part in ("", ", corrected")]
    table = ["| digits against | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for kind in kinds:
        each = [e["auroc"][kind][k] for e in encoders.values() for k in ("score", "corrected")]
        table.append(f"| {kind} | " + " | ".join(f"{value:.3f}" for value in each) + " |")
    means = [
        np.mean([e["auroc"][kind][k] for kind in kinds])
        for e in encoders.values()
        for k in ("score", "corrected")
    ]
    table.append("| mean | " + " | ".join(f"{value:.3f}" for value in means) + " |")
    return "\n\n".join(
        [
            "# Why a small encoder's score is no density of its digits",
            f"Exact scores of {result['count']} held-out digits. What is added to the score (nats, "
            "median) where a digit fades to a part c of its contrast, or is blurred by so many "
            "pixels:",
            "\n".join(lines),
            f"AUROC of held-out digits against {result['count']} images a kind, one-sided: of the "
            "score, and of the score with the log-density of the embedding added (a normal "
            "distribution fitted to training digits' embeddings).",
            "\n".join(table),
        ]
    )
