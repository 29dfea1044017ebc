"""What else a user has JAX set to does not change a score: it is another program's business."""

import jax
import numpy as np
import pytest

from jepa_jax import Lanczos, Scorer

# Each other than JAX's default, and other than `tests/conftest.py` has it.
SETTINGS = [
    ("jax_threefry_partitionable", False),
    ("jax_default_prng_impl", "rbg"),
    ("jax_legacy_prng_key", "error"),
    ("jax_debug_nans", True),  # The error of a single probe is one.
    ("jax_debug_infs", True),
    ("jax_disable_jit", True),
    ("jax_default_matmul_precision", "bfloat16"),
    ("jax_numpy_dtype_promotion", "standard"),
    ("jax_numpy_rank_promotion", "allow"),
    ("jax_enable_x64", True),
]


@pytest.fixture(scope="module")
def one_probe(encoder):
    """A scorer, and its score of one image with nothing set."""
    scorer = Scorer(encoder, Lanczos(steps=2, probes=1), batch_size=1)
    return scorer, scorer.score(image(encoder), ["a"]).jepa_score


def image(encoder):
    size = encoder.image_size
    return np.random.default_rng(0).standard_normal((1, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_a_score_is_the_same(encoder, one_probe, name, value):
    scorer, expected = one_probe
    before = getattr(jax.config, name)
    assert before != value
    jax.config.update(name, value)
    try:
        found = scorer.score(image(encoder), ["a"]).jepa_score
    finally:
        jax.config.update(name, before)
    np.testing.assert_array_equal(found, expected)
