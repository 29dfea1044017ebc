"""Covariates against autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from random_models import random_model

from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.covariates import covariates, last_block_gram
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.vit_config import ViTConfig

CONFIG = ViTConfig(
    image_size=16,
    patch_size=8,
    width=24,
    depth=3,
    heads=3,
    mlp_width=48,
    registers=2,
    layer_scale=True,
    projection=12,
)


pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture(scope="module")
def model():
    with jax.enable_x64(True):
        return random_model(CONFIG)


@pytest.fixture(scope="module")
def tokens(model):
    with jax.enable_x64(True):
        image = jax.random.normal(jax.random.key(1), (16, 16, 3), jnp.float64)
        return jax.jit(model.tokens)(image)


@pytest.fixture(
    scope="module",
    params=["cls", "projected", "cls+normalized", "cls@2", "mean", "mean+normalized"],
)
def rule(request):
    return EmbeddingRule.parse(request.param)


@pytest.fixture(scope="module")
def found(model, tokens, rule):
    with jax.enable_x64(True):
        return jax.jit(lambda tokens: covariates(model, rule, tokens))(tokens)


@pytest.fixture(scope="module")
def embedding(model, tokens, rule):
    with jax.enable_x64(True):
        return jax.jit(lambda tokens: embeddings.embed(model, rule, tokens))(tokens)


def test_the_gram_matrix_of_the_last_block_is_the_jacobians(model, tokens):
    block = model.blocks[-1]
    end = lambda x: model.norm(x)
    jacobian = jax.jit(jax.jacrev(lambda x: end(block(x, 1)[0])))(tokens).reshape(24, -1)
    found = jax.jit(lambda tokens: last_block_gram(block, tokens, end))(tokens)
    np.testing.assert_allclose(found, jacobian @ jacobian.T, atol=1e-12 * float(found.max()))


def test_depth_describes_the_spectra_of_the_last_layers(model, tokens, rule, found, embedding):
    described = np.asarray(found["depth"]).reshape(-1, 8)
    depth = rule.layer or 3

    @jax.jit
    def jacobians(tokens):
        states = [tokens]
        for block in list(model.blocks)[:depth]:
            states.append(block(states[-1]))
        last = model.blocks[depth - 1]
        entering_norm = lambda x: embeddings.pool(model, rule, x)
        entering_block = lambda x: embeddings.pool(model, rule, last(x))
        wanted = [] if rule.layer else [jax.jacrev(entering_norm)(states[-1])]
        if rule.pool == "cls":
            wanted.append(jax.jacrev(entering_block)(states[-2]))
        return wanted

    expected = [np.asarray(j).reshape(len(j), -1) for j in jacobians(tokens)]
    null = embeddings.null_basis(model, rule, embedding).shape[1]
    assert len(described) == len(expected)
    for row, jacobian in zip(described, expected, strict=True):
        sigma = np.linalg.svd(jacobian, compute_uv=False)
        logs = np.log(sigma[: len(jacobian) - null][::-1] ** 2)
        assert row[0] == pytest.approx(logs.sum() / 2, rel=1e-7)
        assert row[4] == pytest.approx(logs[round((len(logs) - 1) / 2)], rel=1e-6)
        assert row[7] == pytest.approx(logs[round(0.98 * (len(logs) - 1))], rel=1e-6)


def test_tokens_norms_and_the_embedding(tokens, rule, found, embedding):
    np.testing.assert_allclose(found["embedding"], embedding, rtol=1e-10)
    rows = np.asarray(found["tokens"]).reshape(-1, 24)
    np.testing.assert_allclose(rows[0], tokens[0], rtol=1e-12)
    np.testing.assert_allclose(found["norms"], np.log(np.linalg.norm(rows, axis=1)), rtol=1e-10)
    assert len(rows) == 2 * (rule.layer or 3) + (1 if rule.pool == "cls" else 2)


def test_depth_has_its_derivative_in_float32(model, tokens, rule):
    """That of float64 by JAX's own, which is that of differences."""
    if str(rule) not in ("cls", "cls@2", "mean+normalized"):
        pytest.skip("every form of a spectrum is among the others")
    described = lambda model, tokens: covariates(model, rule, tokens)["depth"]
    weights = np.resize([1.0, -2.0, 0.5], described_size(rule))
    graph, state = nnx.split(model)
    of = lambda state, tokens: (
        jnp.asarray(weights, tokens.dtype) @ described(nnx.merge(graph, state), tokens)
    )
    gradient = jax.grad(of, argnums=(0, 1))
    wide = jax.jit(gradient)(state, tokens)
    direction = np.random.default_rng(0).standard_normal(tokens.shape) / 10
    value = jax.jit(of)
    up, down = (value(state, tokens + sign * 1e-4 * direction) for sign in (1, -1))
    expected = float(up - down) / 2e-4
    assert float((wide[1] * direction).sum()) == pytest.approx(expected, rel=1e-5)

    with jax.enable_x64(False):
        single = jax.tree.map(lambda a: a.astype(jnp.float32), state)
        narrow = jax.jit(gradient)(single, tokens.astype(jnp.float32))
    for found, one in zip(jax.tree.leaves(narrow), jax.tree.leaves(wide), strict=True):
        # Rounding of float32, of a condition of hundreds.
        np.testing.assert_allclose(found, one, atol=2e-3 * max(1, np.abs(one).max()))


def described_size(rule):
    return 16 if str(rule) == "cls" else 8
