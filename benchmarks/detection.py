"""Detecting outliers: the JEPA-SCORE beside label-free baselines, without leakage.

    python benchmarks/detection.py embedded
    python benchmarks/detection.py spectra --spectra FOLDER
    python benchmarks/detection.py leakage [--spectra FOLDER]
    python benchmarks/detection.py folders --encoder facebook/dinov2-small --reference cifar10/a \
        --inliers cifar10/b --outliers svhn --outliers cifar100 --outliers dtd --out RESULTS

each write results/detection-NAME.json and .md, `embedded` and `folders` a figure too. Measured:

`embedded`, a toy encoder on MNIST digits: no method is best. The one-sided score finds inverted
digits, noise and textures (AUROC .997 and above) and takes blurred, noisy and small digits for more
typical than digits (.002, .023, .221); two-sided, it is at .995, .944 and .592. Mahalanobis and the
Gaussian mixture are the steadiest on photographs and faces (.92 to .96), and blind to letters (.46,
.55). The two-sided JPEG size, without any encoder, beats both on letters, silhouettes, small
digits, noise, blank, half-erased and JPEG-spoiled images.
`spectra`, real Jacobians of DINOv2: the published AUROCs are reproduced to .001, with intervals as
wide as +-.02 (ViT-S, 500 images) to +-.06 (ViT-L, 200).
`leakage`: against fresh images of the inliers' own distribution, where nothing can be found,
Mahalanobis fitted and tested on the same images has AUROC 1.000 at the published size (500 images,
K = 384: of a normal distribution), as published; tested on others, .49.
"""

import argparse
import tempfile
import time
from pathlib import Path

import detection_images as pictures
import detection_protocols as protocols
import detection_spectra
import detection_text as text
import numpy as np
from frontier_report import versions

from jepa_jax import load_encoder
from jepa_jax.evaluation import evaluate
from jepa_jax.evaluation.features import Features
from jepa_jax.evaluation.figure import draw
from jepa_jax.evaluation.results import write_json

RESULTS = Path(__file__).parent / "results"
GRAMS = "grams_vits14_112.npz"
SEED = 0


def embedded(args: argparse.Namespace) -> dict:
    """The toy encoder on digits and images of packages; and the protocol on its embeddings."""
    encoder = load_encoder("embedded")
    rng = np.random.default_rng(SEED)
    training, _ = pictures.digit_images("training")
    held_out, _ = pictures.digit_images("held out")
    chosen = rng.choice(len(training), 6 * args.count, replace=False)
    order = rng.permutation(len(held_out))
    digits, fresh = ([held_out[i] for i in half] for half in np.array_split(order, 2))
    outliers = {"fresh digits": fresh}
    for name, make in pictures.DRAWN.items():
        outliers[name] = pictures.unlike(lambda make=make: make(rng), args.count)
    outliers["faces"] = [pictures.face(rng, i) for i in range(100)]
    for name, spoil in pictures.SPOILED.items():
        outliers[name] = [spoil(digit, rng) for digit in fresh[: args.count]]
    with tempfile.TemporaryDirectory() as folder:
        found = evaluate(
            encoder,
            reference=pictures.records("reference", [training[i] for i in chosen]),
            inliers=pictures.records("inliers", digits),
            outliers={n: pictures.records(n, images) for n, images in outliers.items()},
            out=folder,
            seed=SEED,
        )
    both = _together(found.features["inliers"], found.features["fresh digits"])
    reference = found.features["reference"]
    return {
        "encoder": "embedded",
        "evaluation": found.record(),
        "same_distribution": protocols.same_distribution(reference, both),
        "simultaneous": protocols.simultaneous(found.comparison, "fresh digits"),
        "_comparison": found.comparison,
    }


def _together(one: Features, other: Features) -> Features:
    assert one.embedding is not None
    assert other.embedding is not None
    return Features(
        one.ids + other.ids,
        np.concatenate([one.embedding, other.embedding]),
        {n: np.concatenate([one.columns[n], other.columns[n]]) for n in one.columns},
    )


def spectra(args: argparse.Namespace) -> dict:
    """Published scores of DINOv2 with intervals."""
    return detection_spectra.run(args.spectra)


def leakage(args: argparse.Namespace) -> dict:
    """Fresh images of the same distribution as "outliers", fairly and as published."""
    encoder = load_encoder("embedded")
    images, _ = pictures.digit_images("held out")
    inputs = np.stack([encoder.preprocess(image.convert("RGB")) for image in images])
    import jax

    embed = jax.jit(jax.vmap(encoder.embed, (None, 0)))
    embedding = np.asarray(embed(encoder.state, inputs))
    pool = Features(tuple(str(i) for i in range(len(images))), embedding)
    result = {
        "embedded": {
            "pool": "500 held-out MNIST digits, the embedded encoder",
            "dimensions": embedding.shape[1],
            "rows": protocols.leakage(pool, (64, 83, 166)),
        }
    }
    # The published evaluation's size: 500 images, K = 384; no structure to be found at all.
    normal = np.random.default_rng(SEED).standard_normal((1500, 384))
    pool = Features(tuple(str(i) for i in range(len(normal))), normal)
    result["normal"] = {
        "pool": "1,500 draws of a 384-dimensional standard normal distribution",
        "dimensions": 384,
        "rows": protocols.leakage(pool, (500,), draws=5),
    }
    if args.spectra is not None:
        with np.load(args.spectra / GRAMS) as data:
            inside = data["group"] == "animal"
            embedding = data["embedding"][inside]
        pool = Features(tuple(str(i) for i in range(len(embedding))), embedding)
        result["ViT-S/14"] = {
            "pool": "100 animal pictures, a real ViT-S/14 at 112 px",
            "dimensions": embedding.shape[1],
            "rows": protocols.leakage(pool, (50,)),
        }
    return result


def folders(args: argparse.Namespace) -> dict:
    """Any sources, by any encoder, with the published figures where names agree."""
    outliers = {Path(source).name: source for source in args.outliers}
    found = evaluate(
        load_encoder(args.encoder),
        reference=args.reference,
        inliers=args.inliers,
        outliers=outliers,
        out=args.out / "detection-scores",
        limit=args.limit,
        seed=SEED,
    )
    return {
        "encoder": Path(args.encoder).name,
        "evaluation": found.record(),
        "_comparison": found.comparison,
    }


def main() -> None:
    """The command line of this script; see its docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for work in (embedded, spectra, leakage, folders):
        command = commands.add_parser(work.__name__)
        command.set_defaults(work=work)
        command.add_argument("--out", type=Path, default=RESULTS, help="a folder")
        if work is embedded:
            command.add_argument("--count", type=int, default=200, help="images an outlier set")
        if work in (spectra, leakage):
            command.add_argument("--spectra", type=Path, required=work is spectra)
        if work is folders:
            for name in ("encoder", "reference", "inliers"):
                command.add_argument(f"--{name}", required=True)
            command.add_argument("--outliers", action="append", required=True)
            command.add_argument("--limit", type=int, help="the first N images of each source")
    args = parser.parse_args()

    began = time.perf_counter()
    result = args.work(args)
    comparison = result.pop("_comparison", None)
    result |= {"versions": versions(), "seconds": time.perf_counter() - began}
    args.out.mkdir(parents=True, exist_ok=True)
    stem = args.out / f"detection-{args.work.__name__}"
    write_json(result, stem.with_suffix(".json"))
    stem.with_suffix(".md").write_text(text.TEXTS[args.work.__name__](result, comparison) + "\n")
    if comparison is not None:
        draw(comparison, stem.with_suffix(".png"))
    print(f"{stem.with_suffix('.md')}: {result['seconds']:.0f} s")


if __name__ == "__main__":
    main()
