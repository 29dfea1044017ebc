"""Activations and their closed-form slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.activations import ACT2FN

from jepa_jax.encoders.activations import ACTIVATIONS

X = np.linspace(-9, 9, 401)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_slope_are_those_of_pytorch(name):
    x = torch.tensor(X, requires_grad=True)
    theirs = ACT2FN[name](x)
    (slope,) = torch.autograd.grad(theirs.sum(), x)
    ours = ACTIVATIONS[name]
    parts = (ours, jax.vmap(jax.grad(ours)), jax.vmap(jax.jacfwd(ours)))
    value, *slopes = jax.jit(lambda x: [f(x) for f in parts])(jnp.asarray(X))
    np.testing.assert_allclose(value, theirs.detach(), atol=1e-12)
    for found in slopes:
        np.testing.assert_allclose(found, slope, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"relu"}))
def test_one_residual_for_the_backward_pass(name):
    _, pull = jax.vjp(ACTIVATIONS[name], jnp.ones(1000, jnp.float32))
    assert sum(leaf.size for leaf in jax.tree.leaves(pull)) == 1000
