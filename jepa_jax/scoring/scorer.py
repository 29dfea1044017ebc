"""`Scorer`: an encoder and an estimator, for images in memory and for streams of them."""

from typing import TYPE_CHECKING, Any

from jepa_jax.object_stores import Place
from jepa_jax.scoring.batch_scorer import BatchScorer

if TYPE_CHECKING:
    from jepa_jax.scoring.run import Summary


class Scorer(BatchScorer):
    """JEPA-SCOREs of images by one encoder and one estimator.

    `precision`: "highest" (float32 matrix products), "tf32", "bf16", "tf32x3" or "bf16x3": what the
    encoder's products are of (`jepa_jax.scoring.numerics.matmul_precision`).
    `batch_size` images are computed at once on each device, and `chunk` cotangents for each image
    (defaults: by the platform and the sizes). `devices`: of this process, so many (default: all, or
    the one that `jax.default_device` is set to); each has the parameters and computes its own
    images, and a score does not change by a bit with their number. 0: for an engine that computes
    elsewhere. `processes`: on a CPU, that many worker processes of a share of the cores each, up to
    one a core: more images/s where an image takes seconds, after each has started and compiled.
    They live as long as the scorer, or until `close`. A score depends on its image, the settings
    and `seed` alone, to rounding: not on the batch or process that it is computed in.

    Raises `ValueError` on an unknown precision, a size below 1, more devices than there are, or
    more processes than cores.

    >>> import numpy as np
    >>> from jepa_jax import Exact, Scorer, load_encoder
    >>> encoder = load_encoder("embedded")
    >>> scorer = Scorer(encoder, Exact())
    >>> side = encoder.image_size
    >>> images = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)
    >>> scores = scorer.score(images)
    >>> scores.jepa_score.shape, scores.rank.tolist()
    ((2,), [62, 62])
    """

    def run(self, source: Any, out: str | Place, **settings: Any) -> "Summary":
        """Scores a stream of images into a folder of Parquet shards: `jepa_jax.scoring.run.run`.

        `settings` are its, by name: `views`, `store`, `limit`, `refine`, `retry`, `part`, `engine`
        and the others.
        """
        # Here: scores in memory need no tables.
        from jepa_jax.scoring.run import run

        return run(self, source, out, **settings)
