"""Shapes are checked in every test, and promotions must be stated."""

import os

# Before JAX starts: the tests run on the CPU wherever they run, and never ask the hub.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["HF_HUB_OFFLINE"] = "1"

import jax
import pytest
from jaxtyping import install_import_hook

# The mathematics is checked against its annotated shapes, from before it is first imported.
_hook = install_import_hook(
    ["jepa_jax.jacobian_operator", "jepa_jax.estimators.factor"], "beartype.beartype"
)
from jepa_jax import Exact, Scorer, load_encoder  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def x64():
    """float64 for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Equal programs, as of two scorers of one encoder, are compiled once a test run."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="session")
def encoder():
    """The encoder that comes with the package."""
    return load_encoder("embedded")


@pytest.fixture(scope="session")
def scorer(encoder):
    """One compiled scorer for all tests of a process."""
    return Scorer(encoder, Exact(), batch_size=3)
