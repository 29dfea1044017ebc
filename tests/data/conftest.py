"""Fixtures of the tests of `jepa_jax.data`."""

import pytest

from jepa_jax.data import decoding


@pytest.fixture
def no_decoding(monkeypatch):
    """Fails the test if an image file is opened."""

    def refuse(*_):
        raise AssertionError("an image was decoded while iterating")

    monkeypatch.setattr(decoding, "_decode", refuse)
