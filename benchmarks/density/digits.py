"""Real images: does the embedded encoder's score tell digits from others, or only complexity?

    python -m benchmarks.density digits

scores 300 held-out digits and real images of other kinds that Python packages ship, and writes
digits.json, digits.md and digits.png: the AUROC of the score, of the corrected score, of the JPEG
size alone, and of what a straight line in the JPEG size, fitted on training digits, leaves of the
score.

Result: textures 1.00, photographs .68, faces .54, enlarged 8 x 8 digits .22; the JPEG size explains
little of it (Spearman +.13 on digits). The encoder's training ends far from its optimum: this says
nothing on what a trained one would do.
"""

from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.density.bars import bars
from benchmarks.shared import package_images as pictures
from benchmarks.shared.tables import table
from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.data.image_facts import image_facts
from jepa_jax.evaluation import detection_metrics
from jepa_jax.scoring import log_density

COUNT, SEED = 300, 0
KINDS = ("small digits", "photographs", "textures")


def image_sets(rng: np.random.Generator) -> dict[str, list]:
    """Digits, and images of other kinds."""
    training, _ = pictures.digit_images("training")
    held_out, _ = pictures.digit_images("held out")
    sets = {
        "training digits": [training[i] for i in rng.choice(len(training), COUNT, replace=False)],
        "held-out digits": [held_out[i] for i in rng.choice(len(held_out), COUNT, replace=False)],
    }
    for kind in KINDS:
        sets[kind] = pictures.unlike(lambda make=pictures.DRAWN[kind]: make(rng), 200)
    sets["faces"] = [pictures.face(rng, i) for i in range(100)]
    return sets


def auroc(typical: np.ndarray, others: np.ndarray) -> float:
    """The probability that one of `typical` scores higher, to three digits."""
    return round(detection_metrics(typical, others).auroc, 3)


def run(out: Path) -> tuple[dict, str]:
    """The record and the page; the figure is drawn."""
    encoder = load_encoder("embedded")
    scorer = Scorer(encoder, Exact())
    found = {}
    for name, images in image_sets(np.random.default_rng(SEED)).items():
        images = [image.convert("RGB") for image in images]
        scores = scorer.score(np.stack([encoder.preprocess(image) for image in images]))
        bits = np.array([image_facts(image)["bits_per_pixel"] for image in images])
        volume = np.asarray(scores.jepa_score, np.float64)
        corrected = np.asarray(log_density(volume, scores.embedding), np.float64)
        found[name] = {"score": volume, "corrected": corrected, "bits": bits}
    reference = found.pop("training digits")
    line = np.polyfit(reference["bits"], reference["score"], 1)
    for columns in found.values():
        columns["residual"] = columns["score"] - np.polyval(line, columns["bits"])
        columns["fewer bits"] = -columns["bits"]
    digits = found.pop("held-out digits")
    names = ("score", "corrected", "fewer bits", "residual")
    record = {
        kind: {name: auroc(digits[name], columns[name]) for name in names}
        | {"bits_per_pixel": round(float(np.median(columns["bits"])), 2)}
        for kind, columns in found.items()
    }
    rank = float(spearmanr(reference["score"], reference["bits"]).statistic)
    rows = [
        [k, *[f"{r[name]:.3f}" for name in names], r["bits_per_pixel"]] for k, r in record.items()
    ]
    header = ["held-out digits against", "score", "corrected score", "fewer JPEG bits"]
    header += ["score less its line in JPEG bits", "median bits a pixel"]
    bits = np.median(digits["bits"])
    page = (
        f"{table(header, rows)}\n\n"
        "AUROC, digits the typical class. On training digits the Spearman correlation of the score"
        f"\nwith JPEG bits per pixel is {rank:+.2f}; held-out digits have {bits:.2f} bits a pixel."
    )
    facts = {"encoder": encoder.fingerprint, "spearman_with_bits": round(rank, 3)}
    shown = {kind: {name: row[name] for name in names} for kind, row in record.items()}
    label = "AUROC, held-out digits the typical class (.5: guessing)"
    bars(out / "digits.png", shown, label, 0.5)
    return {**facts, "kinds": record}, page
