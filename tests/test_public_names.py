"""Every public name says what it is, has an example that runs, and is in the reference."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

PACKAGES = (
    "jepa_jax",
    "jepa_jax.calibration",
    "jepa_jax.checking",
    "jepa_jax.data",
    "jepa_jax.densities",
    "jepa_jax.encoders",
    "jepa_jax.estimators",
    "jepa_jax.evaluation",
    "jepa_jax.report",
    "jepa_jax.scoring",
    "jepa_jax.store",
)
REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def public(package):
    """The public classes and functions of a package by name. The rest are constants."""
    module = importlib.import_module(package)
    found = {name: getattr(module, name) for name in module.__all__}
    return {name: value for name, value in found.items() if callable(value)}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_example(package):
    parser = doctest.DocTestParser()
    without = [
        name
        for name, value in public(package).items()
        if not any(e.want for e in parser.get_examples(inspect.getdoc(value) or ""))
    ]
    assert not without


def test_every_public_name_is_in_the_reference_once():
    listed = [
        name
        for page in REFERENCE.glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    ]
    described = [resolve(name) for name in listed]
    assert len({id(value) for value in described}) == len(described)
    named = {name: value for package in PACKAGES for name, value in public(package).items()}
    ids = {id(value) for value in described}
    assert {name for name, value in named.items() if id(value) not in ids} == set()


def resolve(path):
    """The object that a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
