"""Fixtures of the tests of `jepa_jax.data`."""

import importlib

import pytest


@pytest.fixture
def no_decoding(monkeypatch):
    """Fails the test if an image file is opened."""

    def refuse(*_):
        raise AssertionError("an image was decoded while iterating")

    # By its name: `jepa_jax.data.decode` is the function.
    module = importlib.import_module("jepa_jax.data.decode")
    monkeypatch.setattr(module, "_decode", refuse)
