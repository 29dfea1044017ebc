"""Scores at several precisions of the products on the same images: times, agreement, a correction.

The exact scores of a few images of a source, at float32 and at each precision in turn.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jepa_jax.calibration.batches import TIMED
from jepa_jax.calibration.choosing import NOISE
from jepa_jax.calibration.measuring import spread_records
from jepa_jax.data import open_source
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.estimators.corrected import FEWEST, Line
from jepa_jax.estimators.exact import Exact
from jepa_jax.estimators.sketch.fitting import spearman
from jepa_jax.precisions import PRECISIONS, Precision
from jepa_jax.scoring.affordable import check_affordable
from jepa_jax.scoring.batch_scorer import BatchScorer
from jepa_jax.scoring.numerics import is_faster
from jepa_jax.scoring.rows import prepare


@dataclasses.dataclass(frozen=True)
class Compared:
    """One precision's exact scores of some images beside float32's, `exact`, in nats.

    `seconds`: the median of the batches' seconds an image, which were timed in turn with the other
    precisions' (compilation apart).

    >>> import numpy as np
    >>> from jepa_jax.calibration import Compared
    >>> exact = np.arange(10.0)
    >>> found = Compared("bf16", 0.5, exact + 3 + 0.1 * exact, exact)
    >>> round(found.bias, 2), round(found.spearman, 2), round(float(found.line().slope), 4)
    (3.45, 1.0, 0.9091)
    """

    precision: Precision
    seconds: float
    scores: Float[np.ndarray, " n"]
    exact: Float[np.ndarray, " n"]

    @property
    def spearman(self) -> float:
        """Rank correlation with float32's scores."""
        return 1.0 if self.precision == "highest" else spearman(self.scores, self.exact)

    @property
    def bias(self) -> float:
        """The mean of the difference from float32's scores."""
        return float(np.mean(self.scores - self.exact))

    @property
    def sd(self) -> float:
        """The standard deviation of the difference."""
        return float(np.std(self.scores - self.exact, ddof=1))

    def line(self) -> Line:
        """The line from these scores to float32's; `ValueError` on fewer than 8 images."""
        return Line.fit(self.scores, self.exact)


def faster_precisions(platform: str | None = None) -> list[Precision]:
    """The precisions worth comparing with float32 on a platform (default: JAX's).

    >>> from jepa_jax.calibration import faster_precisions
    >>> faster_precisions("gpu"), faster_precisions("tpu")
    (['tf32', 'bf16', 'tf32x3', 'bf16x3'], ['bf16', 'bf16x3'])
    """
    return [p for p in PRECISIONS if p != "highest" and is_faster(p, platform)]


def compare_precisions(
    encoder: Encoder,
    source: Any,
    precisions: Iterable[Precision],
    *,
    images: int = 32,
    batch_size: int | None = None,
    limit: int | None = None,
    at_any_cost: bool = False,
    on_start: Callable[[int | None, int], None] | None = None,
    on_image: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Precision, Compared]:
    """Exact scores of some images of `source` at "highest" and at `precisions`, and their times.

    `images` of them are taken evenly over the source; what cannot be read or scored, and inputs of
    another size than the first, are passed over. `clock` gives seconds.

    Raises `ValueError` with fewer than 8 usable images, and, unless `at_any_cost`, where this
    machine is not up to an exact score, with its cost and the way on.

    Cost: K VJPs an image and precision.

    >>> from importlib.resources import files
    >>> from jepa_jax import load_encoder
    >>> from jepa_jax.calibration import compare_precisions
    >>> samples = files("jepa_jax") / "assets" / "samples"
    >>> found = compare_precisions(load_encoder("embedded"), samples, ["bf16"], images=12)
    >>> found["bf16"].spearman > 0.99, abs(found["bf16"].bias) < 1
    (True, True)
    """
    if images < FEWEST:
        raise ValueError(f"`images` must be at least {FEWEST}, got {images}")
    compared: list[Precision] = ["highest", *(p for p in precisions if p != "highest")]
    scorers: dict[Precision, BatchScorer] = {
        p: BatchScorer(encoder, Exact(), precision=p, batch_size=batch_size) for p in compared
    }
    if not at_any_cost:
        check_affordable(scorers["highest"], why="precisions are compared by exact scores: ")
    opened = open_source(source)
    if on_start is not None:
        on_start(images, 0)
    inputs: list[np.ndarray] = []
    for record in spread_records(opened, images, limit):
        prepared = prepare(record, encoder, views=1, seed=0)
        on_image()
        if prepared.error is None and (not inputs or prepared.inputs[0].shape == inputs[0].shape):
            inputs.append(prepared.inputs[0])
    if len(inputs) < FEWEST:
        raise ValueError(
            f"comparing precisions needs at least {FEWEST} images that can be read, "
            f"{opened.name} gave {len(inputs)} of {images}"
        )
    scores, seconds = _in_turn(scorers, np.stack(inputs), clock)
    usable = np.all([np.isfinite(s) for s in scores.values()], axis=0)
    if usable.sum() < FEWEST:
        raise ValueError(
            f"comparing precisions needs at least {FEWEST} images with a score at each, "
            f"{opened.name} gave {usable.sum()}"
        )
    exact = scores["highest"][usable]
    return {p: Compared(p, seconds[p], scores[p][usable], exact) for p in scorers}


def _in_turn(
    scorers: Mapping[Precision, BatchScorer], inputs: np.ndarray, clock: Callable[[], float]
) -> tuple[dict[Precision, np.ndarray], dict[Precision, float]]:
    """Scores and median seconds an image: batch after batch, each by one scorer after the other, so
    that what else the machine has to do falls on all alike."""
    size = scorers["highest"].plan(*inputs.shape[1:3]).batch
    batches = [inputs[i : i + size] for i in range(0, len(inputs), size)]
    scores: dict[Precision, list[np.ndarray]] = {p: [] for p in scorers}
    seconds: dict[Precision, list[float]] = {p: [] for p in scorers}
    for scorer in scorers.values():
        scorer.score(batches[0], at_any_cost=True)  # Compiles.
    full = sum(len(batch) == len(batches[0]) for batch in batches)
    again = [batches[0]] * max(0, TIMED - full)
    for turn, batch in enumerate(batches + again):
        for precision, scorer in scorers.items():
            began = clock()
            found = scorer.score(batch, at_any_cost=True).jepa_score
            # A last batch that is not full takes as long as a full one, and says nothing.
            if len(batch) == len(batches[0]):
                seconds[precision].append((clock() - began) / len(batch))
            if turn < len(batches):
                scores[precision].append(np.asarray(found, np.float64))
    return (
        {p: np.concatenate(parts) for p, parts in scores.items()},
        {p: float(np.median(times)) for p, times in seconds.items()},
    )


def choose_precision(found: Sequence[Compared], target: float) -> Compared:
    """The fastest precision whose rank correlation with float32's scores reaches `target`.

    Times that differ by less than a tenth are equal, and the one that agrees better is taken:
    float32 of all that are as fast. Raises `ValueError` on a target outside (0, 1].

    >>> import numpy as np
    >>> from jepa_jax.calibration import Compared, choose_precision
    >>> x = np.arange(10.0)
    >>> found = [Compared("highest", 1.0, x, x), Compared("tf32", 0.5, x, x)]
    >>> choose_precision([*found, Compared("bf16", 0.1, -x, x)], target=0.999).precision
    'tf32'
    """
    if not 0 < target <= 1:
        raise ValueError(f"`target` must be in (0, 1], got {target}")
    good = [c for c in found if c.spearman >= target or c.precision == "highest"]
    bound = min(c.seconds for c in good) * (1 + NOISE)
    # By what is rounded less: `highest`, the split ones, tf32, bf16.
    order: tuple[Precision, ...] = ("highest", "tf32x3", "bf16x3", "tf32", "bf16")
    return min((c for c in good if c.seconds <= bound), key=lambda c: order.index(c.precision))
