"""The stated cost is the number of products taken."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum

from jepa_jax import Exact, Hutchinson, Lanczos, Projection, XTrace, jacobian

ESTIMATORS = [
    Exact(),
    Exact(rank="clip"),
    Lanczos(steps=3, probes=2),
    Lanczos(steps=30, probes=2),
    Hutchinson(degree=7, probes=3, interval_steps=2),
    Hutchinson(degree=8, probes=1, interval_steps=30),
    Projection(oversampling=3),
    XTrace(steps=3, products=6),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
def test_cost_is_what_is_taken(estimator, shape, monkeypatch):
    matrix = matrix_with_spectrum(np.linspace(1, 2, 8), 20).astype(np.float32)
    matrix = matrix if shape[0] == 8 else matrix.T
    taken = {"rows": 0, "columns": 0}

    def count(name, number):
        taken[name] += number

    @jax.jit
    def estimate(matrix, key):
        operator = jacobian(lambda x: matrix @ x, jnp.ones(shape[1]))
        for name in taken:

            def counted(vectors, name=name, product=getattr(operator, name)):
                # When it runs: what is in a loop is seen at every turn.
                jax.debug.callback(functools.partial(count, name, len(vectors)))
                return product(vectors)

            monkeypatch.setattr(operator, name, counted)
        along = operator.columns_along

        def drawn(draw, number):
            jax.debug.callback(functools.partial(count, "columns", number))
            return along(draw, number)

        monkeypatch.setattr(operator, "columns_along", drawn)
        return estimator(operator, key)

    jax.block_until_ready(estimate(matrix, jax.random.key(0)))
    jax.effects_barrier()
    assert estimator.cost(*shape) == (taken["rows"], taken["columns"])


def test_a_setting_changes_the_cost():
    settings = Lanczos(steps=10, probes=4)
    assert settings.cost(384, 150528) == (40, 40)
    assert dataclasses.replace(settings, probes=8).cost(384, 150528) == (80, 80)
