"""The methods end to end by wall clock: an encoder, images, every method on both."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.frontier.baselines import baselines
from benchmarks.frontier.methods import MATFREE, settings_of
from benchmarks.frontier.metrics import assess, stated_errors
from benchmarks.frontier.rows import Row
from benchmarks.shared import odd_images as odd
from jepa_jax import Encoder, Exact, Hutchinson, Lanczos, Scorer, Sketch, SketchSamples
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.estimators import Estimate, Estimator
from jepa_jax.estimators.estimate import cost_in_vjps
from jepa_jax.estimators.sketch.measurement import choose_and_restrict, measure
from jepa_jax.training.digits import load_digits

INSIDE = "in distribution"


def kinds(digits: np.ndarray, each: int, rng: np.random.Generator) -> dict[str, list]:
    """The digits (N, 28, 28) as images, and `each` odd images of every kind."""
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
        operator = jacobian_of(encoder, state, image, chunk)
        return work(operator, key, argument)

    def batch(state, argument, images, keys):
        # As in `Scorer`: a batch of one is not worth a batch dimension in every product.
        if len(images) == 1:
            found = one(state, argument, images[0], keys[0])
            return jax.tree.map(lambda a: a[None], found)
        return jax.vmap(one, (None, None, 0, 0))(state, argument, images, keys)

    return jax.jit(batch)


def batches(images: np.ndarray, size: int, seed: int = 0) -> list[tuple[jax.Array, jax.Array]]:
    """Images, `size` at a time, the last batch filled up, and a key for each."""
    count = -(-len(images) // size) * size
    full = np.concatenate([images, images[:1].repeat(count - len(images), 0)])
    keys = jax.random.split(jax.random.key(seed), count)
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
    batched = compiled(encoder, lambda j, key, _: (measure(j), j.null_basis), chunk)
    found = apply(batched, encoder, None, batches(images, size))
    measured, nulls = collect(found, len(images))
    each = (jax.tree.map(lambda a, i=i: a[i], measured) for i in range(len(images)))
    omega, kept = choose_and_restrict(each, most)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *kept)
    return SketchSamples(omega, stacked, encoder.embedding_size - nulls.shape[2])


@dataclasses.dataclass(frozen=True)
class Method:
    """A row to be: its cost in VJP units, and `work(jacobian, key, argument)`.

    `predicted`: what leave-one-out says of its error. `classical`: has a random and a stated error.
    """

    name: str
    setting: str
    cost: float
    work: Callable
    argument: object = None
    predicted: float | None = None
    classical: bool = False


def line_up(
    encoder: Encoder,
    samples: SketchSamples,
    d: int,
    counts: Iterable[int],
    classical: Iterable[Estimator],
) -> list[Method]:
    """Exact, the baselines, the classical methods and the sketches, by `counts` of VJPs."""
    live = samples.rank
    ignoring = lambda score: lambda j, key, _: score(j, key)
    found = [Method("Exact", "", live, ignoring(Exact()))]
    for name, setting, price, score in baselines(encoder.embedding_size, live, counts, MATFREE):
        found.append(Method(name, setting, price, ignoring(score)))
    for e in classical:
        price = cost_in_vjps(e, live, d)
        name = type(e).__name__
        found.append(Method(name, settings_of(e), price, ignoring(e), classical=True))
    every = ("spectrum", *samples.measured.covariates)
    sketches = {
        "Sketch": every,
        "Sketch, without depth": tuple(name for name in every if name != "depth"),
        "Sketch, spectrum alone": every[:1],
    }
    for name, blocks in sketches.items():
        for p in counts:
            fit = samples.fit(p, blocks)
            sketch = Sketch(fit.calibration)
            found.append(Method(name, f"p = {p}", p, lambda j, key, e: e(j), sketch, fit.rmse))
    return found


def figures_of(
    method: Method,
    found: Estimate | np.ndarray,
    again: Estimate | None,
    exact: np.ndarray,
    groups: np.ndarray,
) -> dict[str, float]:
    """Accuracy of what a method `found`, a classical one `again` with other keys."""
    if not isinstance(found, Estimate):  # A baseline: a value alone.
        return assess(found, exact, groups, INSIDE)
    value, error = found.log_volume, found.std_error
    figures = assess(value, exact, groups, INSIDE, error, centred=method.classical)
    if again is not None:
        both_sides = method.name == "Hutchinson"
        stated = stated_errors(value, again.log_volume, exact, error, found.bias_bound, both_sides)
        figures |= stated
    if method.predicted is not None:
        figures["predicted_rmse"] = method.predicted
        figures["flagged"] = float(found.flagged[groups == INSIDE].mean())
        if (groups != INSIDE).any():
            figures["flagged_others"] = float(found.flagged[groups != INSIDE].mean())
    return figures


def clock(encoder: Encoder, works: list[tuple[Callable, object]], parts, repeats: int):
    """Seconds an image of every work, in `repeats` turns (repeats, works), after one to warm up."""
    images = sum(len(part[0]) for part in parts)
    turns = []
    for _ in range(repeats + 1):
        turn = []
        for batched, argument in works:
            began = time.perf_counter()
            apply(batched, encoder, argument, parts)
            turn.append((time.perf_counter() - began) / images)
        turns.append(turn)
    return np.array(turns[1:])


def compare(
    encoder: Encoder,
    calibration: np.ndarray,
    test: dict[str, np.ndarray],
    counts: Iterable[int],
    classical: Iterable[Estimator],
    repeats: int,
    timed: int,
) -> dict:
    """Every method's figures on the test images, its time on `timed` of them, in turn."""
    images = np.concatenate(list(test.values()))
    groups = np.repeat(list(test), [len(v) for v in test.values()])
    plan = Scorer(encoder, Exact()).plan(*images.shape[1:3])
    samples = calibrate(encoder, calibration, max(counts), plan.chunk, plan.batch)
    methods = line_up(encoder, samples, images[0].size, counts, classical)

    works = [(compiled(encoder, m.work, plan.chunk), m.argument) for m in methods]
    found: list[tuple] = []
    for method, (batched, argument) in zip(methods, works, strict=True):
        keys = (0, 1) if method.classical else (0,)
        values = [
            collect(
                apply(batched, encoder, argument, batches(images, plan.batch, seed)), len(images)
            )
            for seed in keys
        ]
        found.append((values[0], values[1] if method.classical else None))
        print(f"  {method.name} {method.setting}", flush=True)
    exact = found[0][0].log_volume

    works.append((compiled(encoder, lambda j, key, _: (j.value, j.covariates), plan.chunk), None))
    some = images[np.random.default_rng(0).permutation(len(images))[:timed]]
    seconds = clock(encoder, works, batches(some, plan.batch), repeats)
    shares = np.median(seconds / seconds[:, :1], axis=0)
    rows = []
    for i, method in enumerate(methods):
        figures = figures_of(method, *found[i], exact, groups)
        figures["seconds"] = float(np.median(seconds[:, i]))
        share = float(shares[i])
        rows.append(Row(method.name, method.setting, float(method.cost), share, figures))
        print(f"  {rows[-1].line()}", flush=True)
    return {
        "encoder": {
            "K": encoder.embedding_size,
            "live": samples.rank,
            "fingerprint": encoder.fingerprint,
        },
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
