"""Covariates against autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_models import random_model

from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.covariates import covariates, last_block_gram
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.vit import ViTConfig

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


def log_eigenvalues(f, x, null):
    jacobian = np.asarray(jax.jacrev(f)(x)).reshape(-1, x.size)
    return np.log(np.linalg.svd(jacobian, compute_uv=False)[: len(jacobian) - null][::-1] ** 2)


@pytest.fixture(params=["cls", "projected", "cls+normalized", "cls@2", "mean", "mean+normalized"])
def rule(request):
    return EmbeddingRule.parse(request.param)


@pytest.fixture
def model_and_tokens(x64):
    model = random_model(CONFIG)
    image = jax.random.normal(jax.random.key(1), (16, 16, 3), jnp.float64)
    return model, model.tokens(image)


def test_the_gram_matrix_of_the_last_block_is_the_jacobians(model_and_tokens):
    model, tokens = model_and_tokens
    block = model.blocks[-1]
    end = lambda x: model.norm(x)
    jacobian = jax.jacrev(lambda x: end(block(x, 1)[0]))(tokens).reshape(24, -1)
    found = last_block_gram(block, tokens, end)
    np.testing.assert_allclose(found, jacobian @ jacobian.T, atol=1e-12 * float(found.max()))


def test_depth_describes_the_spectra_of_the_last_layers(model_and_tokens, rule):
    model, tokens = model_and_tokens
    found = np.asarray(covariates(model, rule, tokens)["depth"]).reshape(-1, 8)
    depth = rule.layer or 3
    states = [tokens]
    for block in list(model.blocks)[:depth]:
        states.append(block(states[-1]))
    last = model.blocks[depth - 1]
    entering_norm = lambda x: embeddings.pool(model, rule, x)
    entering_block = lambda x: embeddings.pool(model, rule, last(x))
    z = embeddings.embed(model, rule, tokens)
    null = embeddings.null_basis(model, rule, z).shape[1]
    expected = [] if rule.layer else [log_eigenvalues(entering_norm, states[-1], null)]
    if rule.pool == "cls":
        expected.append(log_eigenvalues(entering_block, states[-2], null))
    assert len(found) == len(expected)
    for row, logs in zip(found, expected, strict=True):
        assert row[0] == pytest.approx(logs.sum() / 2, rel=1e-7)
        assert row[4] == pytest.approx(logs[round((len(logs) - 1) / 2)], rel=1e-6)
        assert row[7] == pytest.approx(logs[round(0.98 * (len(logs) - 1))], rel=1e-6)


def test_tokens_norms_and_the_embedding(model_and_tokens, rule):
    model, tokens = model_and_tokens
    found = covariates(model, rule, tokens)
    z = embeddings.embed(model, rule, tokens)
    np.testing.assert_allclose(found["embedding"], z, rtol=1e-10)
    rows = np.asarray(found["tokens"]).reshape(-1, 24)
    np.testing.assert_allclose(rows[0], tokens[0], rtol=1e-12)
    np.testing.assert_allclose(found["norms"], np.log(np.linalg.norm(rows, axis=1)), rtol=1e-10)
    assert len(rows) == 2 * (rule.layer or 3) + (1 if rule.pool == "cls" else 2)
