"""One compiled scorer for all tests of this folder."""

import pytest

from jepa_jax import Exact, Scorer, load_encoder


@pytest.fixture(scope="session")
def encoder():
    return load_encoder("embedded")


@pytest.fixture(scope="session")
def scorer(encoder):
    return Scorer(encoder, Exact(), batch_size=3)
