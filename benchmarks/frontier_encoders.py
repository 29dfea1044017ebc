"""frontier.py end to end by wall clock: an encoder, images, every method on both."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
from frontier_methods import settings_of
from frontier_metrics import assess, cost
from frontier_report import Row, row

from jepa_jax import Encoder, Exact, Hutchinson, Lanczos, Scorer, Sketch, SketchSamples, jacobian
from jepa_jax.estimators import Estimate, Estimator
from jepa_jax.estimators.calibrate import draw_cotangents, measure
from jepa_jax.training import odd
from jepa_jax.training.digits import load_digits

INSIDE = "in distribution"


def kinds(digits: np.ndarray, each: int, rng: np.random.Generator) -> dict[str, list]:
    """The digits (N, 28, 28) as images, and `each` odd images of every kind, as in embedded.py."""
    from PIL import Image

    plain = [Image.fromarray((255 * image).round().astype(np.uint8)) for image in digits]
    sets = {INSIDE: plain}
    for name, spoil in odd.SPOILED.items():
        sets[name] = [spoil(digit, rng) for digit in plain[:each]]
    sets["overlapped"] = [odd.overlapped(plain[i - 1], plain[i]) for i in range(each)]
    for name, make in odd.DRAWN.items():
        sets[name] = [make(rng) for _ in range(each)]
    return sets


def compiled(encoder: Encoder, work: Callable, chunk: int) -> Callable:
    """`work(jacobian, key, argument)` of a batch of images, jitted; the argument is a pytree."""

    def one(state, argument, image, key):
        u = encoder.coordinates(state, image)
        operator = jacobian(
            lambda u: encoder.embed_coordinates(state, u),
            u,
            chunk=chunk,
            null_basis=lambda z: encoder.null_basis(state, z),
            covariates=lambda: encoder.covariates(state, u),
        )
        return work(operator, key, argument)

    def batch(state, argument, images, keys):
        # As in `Scorer`: a batch of one is not worth a batch dimension in every product.
        if len(images) == 1:
            found = one(state, argument, images[0], keys[0])
            return jax.tree.map(lambda a: a[None], found)
        return jax.vmap(one, (None, None, 0, 0))(state, argument, images, keys)

    return jax.jit(batch)


def batches(images: np.ndarray, size: int) -> list[tuple[jax.Array, jax.Array]]:
    """Images, `size` at a time, the last batch filled up, and a key for each."""
    count = -(-len(images) // size) * size
    full = np.concatenate([images, images[:1].repeat(count - len(images), 0)])
    keys = jax.random.split(jax.random.key(0), count)
    return [(jnp.asarray(full[i : i + size]), keys[i : i + size]) for i in range(0, count, size)]


def apply(batched: Callable, encoder: Encoder, argument, parts):
    """The jitted function of all `parts` (from `batches`), what filled up included."""
    found = [batched(encoder.state, argument, *part) for part in parts]
    return jax.block_until_ready(found)


def collect(found: list, count: int):
    """The results of `apply` as NumPy arrays over `count` images."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *found)


def calibrate(encoder: Encoder, images: np.ndarray, most: int, chunk: int, size: int):
    """`SketchSamples` of the images."""
    omega = draw_cotangents(encoder.embedding_size, most)
    batched = compiled(encoder, lambda j, key, omega: (measure(j, omega), j.null_basis), chunk)
    found = apply(batched, encoder, jnp.asarray(omega), batches(images, size))
    measured, nulls = collect(found, len(images))
    return SketchSamples(omega, measured, encoder.embedding_size - nulls.shape[2])


def compare(
    encoder: Encoder,
    calibration: np.ndarray,
    test: dict[str, np.ndarray],
    counts: Iterable[int],
    classical: Iterable[Estimator],
    repeats: int,
    timed: int,
) -> dict:
    """Every method's figures on the test images, its time on the first `timed`, in turn."""
    images = np.concatenate(list(test.values()))
    groups = np.repeat(list(test), [len(v) for v in test.values()])
    plan = Scorer(encoder, Exact()).plan(*images.shape[1:3])
    samples = calibrate(encoder, calibration, max(counts), plan.chunk, plan.batch)
    live, d = samples.rank, images[0].size

    methods: list[tuple[str, str, float, Callable, object, float | None]] = []

    def add(name: str, setting: str, price: float, estimator: Estimator, predicted=None) -> None:
        fitted = isinstance(estimator, Sketch)
        work = (lambda j, key, e: e(j)) if fitted else (lambda j, key, _: estimator(j, key))
        batched = compiled(encoder, work, plan.chunk)
        argument = estimator if fitted else None
        methods.append((name, setting, price, batched, argument, predicted))

    add("Exact", "", live, Exact())
    for estimator in classical:
        price = cost(estimator.cost(live, d))
        add(type(estimator).__name__, settings_of(estimator), price, estimator)
    every = ("spectrum", *samples.measured.covariates)
    sketches = {
        "Sketch": every,
        "Sketch, without depth": tuple(name for name in every if name != "depth"),
        "Sketch, spectrum alone": every[:1],
    }
    for label, blocks in sketches.items():
        for p in counts:
            fitted = samples.fit(p, blocks)
            add(label, f"p = {p}", p, Sketch(fitted.calibration), fitted.rmse)
    free = compiled(encoder, lambda j, key, _: (j.value, j.covariates), plan.chunk)

    estimates: list[Estimate] = []
    parts = batches(images, plan.batch)
    for name, setting, _, batched, argument, _ in methods:
        estimates.append(collect(apply(batched, encoder, argument, parts), len(images)))
        print(f"  {name} {setting}", flush=True)
    some = batches(images[np.random.default_rng(0).permutation(len(images))[:timed]], plan.batch)
    clocks = [(batched, argument) for _, _, _, batched, argument, _ in methods] + [(free, None)]
    turns = []
    for _ in range(repeats + 1):  # The first does not count.
        turn = []
        for batched, argument in clocks:
            began = time.perf_counter()
            apply(batched, encoder, argument, some)
            turn.append((time.perf_counter() - began) / (len(some) * plan.batch))
        turns.append(turn)
    seconds = np.array(turns[1:])
    shares = np.median(seconds / seconds[:, :1], axis=0)

    exact = estimates[0].log_volume
    rows = []
    for i, (name, setting, price, _, _, predicted) in enumerate(methods):
        estimate = estimates[i]
        figures = assess(
            estimate.log_volume,
            exact,
            groups,
            INSIDE,
            estimate.std_error,
            centred=name in ("Lanczos", "Hutchinson"),
        )
        if predicted is not None:
            figures["predicted_rmse"] = predicted
            figures["flagged"] = float(estimate.flagged[groups == INSIDE].mean())
            figures["flagged_others"] = float(estimate.flagged[groups != INSIDE].mean())
        figures["seconds"] = statistics.median(seconds[:, i])
        made = row(name, setting, price, live, figures)
        rows.append(Row(made.method, made.setting, made.cost, float(shares[i]), figures))
        print(f"  {rows[-1].line()}", flush=True)
    return {
        "encoder": {"K": encoder.embedding_size, "live": live, "fingerprint": encoder.fingerprint},
        "images": {name: len(v) for name, v in test.items()},
        "calibration": len(calibration),
        "batch": plan.batch,
        "chunk": plan.chunk,
        "score_sd": float(exact[groups == INSIDE].std()),
        "covariates_alone": {
            "seconds": float(np.median(seconds[:, -1])),
            "fraction_of_exact": float(shares[-1]),
        },
        "rows": rows,
    }


def run_embedded(encoder: Encoder, repeats: int) -> dict:
    """On held-out MNIST digits and odd images; calibrated on other digits and odd images."""
    rng = np.random.default_rng(0)
    digits = rng.permutation(load_digits()[1].images)
    sets = [kinds(digits[:64], 4, rng), kinds(digits[64:264], 20, rng)]
    calibration, test = (
        {name: np.stack([encoder.preprocess(i) for i in images]) for name, images in s.items()}
        for s in sets
    )
    return compare(
        encoder,
        np.concatenate(list(calibration.values())),
        test,
        (2, 4, 8, 12, 16, 24, 31),
        [Lanczos(5, 1), Lanczos(10, 2), Lanczos(20, 4), Hutchinson(30, 2)],
        repeats,
        timed=64,
    )


def readable(encoder: Encoder, source: str) -> Iterator[np.ndarray]:
    """The preprocessed images of a source; those that cannot be read are named and passed over."""
    from jepa_jax.data import UnreadableImage, open_source

    for record in open_source(source):
        try:
            yield encoder.preprocess(record.load())
        except UnreadableImage as error:
            print(f"  {record.id}: {error}")


def run_folder(encoder: Encoder, source: str, calibration: int, count: int, repeats: int) -> dict:
    """On the first readable images of a source, in its order: to calibrate on, then to test on."""
    images = np.stack(list(islice(readable(encoder, source), calibration + count)))
    if len(images) < calibration + 2:
        raise ValueError(f"{source} holds {len(images)} images, wanted {calibration + count}")
    k = encoder.embedding_size
    counts = sorted({max(2, k // times) for times in (32, 24, 16, 12, 8, 6, 4)})
    classical = [Lanczos(10, 1), Lanczos(20, 1), Lanczos(20, 4)]
    return compare(
        encoder,
        images[:calibration],
        {INSIDE: images[calibration:]},
        counts,
        classical,
        repeats,
        timed=min(8, len(images) - calibration),
    )
