"""Rotary positions: what they must do, whatever the formula; parity is in test_parity."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_models import random_model

from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.rotary import patch_angles, rotate, rotate_in_time
from jepa_jax.encoders.vit_config import ViTConfig

CONFIG = ViTConfig(
    image_size=16, patch_size=4, width=24, depth=2, heads=2, mlp_width=32, registers=2, rotary=100.0
)


def test_angles_are_those_of_the_definition():
    angles = patch_angles((3, 2), 8, 100.0)
    # Row 1 of 3 is at -2/3, 0, 2/3; columns at -1/2, 1/2; frequencies 1 and 100^(-1/2).
    assert angles.shape == (6, 4)
    vertical, horizontal = -2 / 3, 0.5
    expected = 2 * np.pi * np.array([vertical, vertical / 10, horizontal, horizontal / 10])
    np.testing.assert_allclose(angles[1], expected, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_lengths_stay_and_so_does_the_prefix():
    x = np.random.default_rng(0).standard_normal((2, 3 + 6, 8))
    found = np.asarray(rotate(jnp.asarray(x), 3, (3, 2), 100.0))
    np.testing.assert_array_equal(found[:, :3], x[:, :3])
    np.testing.assert_allclose(
        np.linalg.norm(found, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-12
    )
    np.testing.assert_array_equal(rotate(jnp.asarray(x[:, :1]), 3, (3, 2), 100.0), x[:, :1])


@pytest.mark.usefixtures("x64")
def test_places_of_a_clip_are_spread_over_the_grid_that_they_were_learned_on():
    """Products of turned vectors depend on how far apart their places are, and on no more."""
    x = np.random.default_rng(0).standard_normal((1, 1, 14))  # Three groups of 4, and 2 that stay.
    grids = {}
    for grid in ((2, 16, 16), (2, 6, 4)):
        tokens = jnp.asarray(np.broadcast_to(x, (1, np.prod(grid), 14)))
        turned = np.asarray(rotate_in_time(tokens, grid, 1e4, 16))
        np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(x), rtol=1e-12)
        np.testing.assert_array_equal(turned[0, :, 12:], tokens[0, :, 12:])
        grids[grid] = turned[0].reshape(*grid, 14)
    # Where both have a patch: rows at 0, 3, .. 15, columns at 0, 5, 10, 15.
    np.testing.assert_allclose(grids[2, 16, 16][:, ::3, ::5], grids[2, 6, 4], atol=1e-12)
    products = np.einsum("tijd,sijd->tsij", *[grids[2, 16, 16]] * 2)
    np.testing.assert_allclose(products[0, 1], products[0, 1, 3, 5], atol=1e-12)
    # Angles of one step, of pairs by frame: 1 and 10000^(-1/2).
    one, other = (grids[2, 16, 16][t, 0, 0, :4].reshape(2, 2) @ [1, 1j] for t in (0, 1))
    np.testing.assert_allclose(np.angle(other / one), [1, 0.01], rtol=1e-12)


IN_TIME = dataclasses.replace(CONFIG, registers=0, cls_token=False, rotary_in_time=True)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("config", [CONFIG, dataclasses.replace(IN_TIME, rotary_grid=16)])
def test_blocks_computed_again_have_the_same_derivatives(monkeypatch, config):
    shape = (16, 24, 3)
    image = jnp.asarray(np.random.default_rng(1).standard_normal(shape))
    grid, rule, found = config.grid(*shape[:2]), EmbeddingRule("mean"), []
    for recompute in (False, True):
        monkeypatch.setattr(ViTConfig, "recompute", recompute)
        model = random_model(config)
        embed = lambda x, model=model: embeddings.embed(model, rule, model.tokens(x), grid)
        found.append(jax.jit(jax.jacrev(embed))(image))
    np.testing.assert_allclose(found[0], found[1], atol=1e-12 * float(jnp.abs(found[0]).max()))


def test_rotations_need_the_grid():
    model = random_model(CONFIG)
    tokens = jnp.zeros((3 + 16, 24))
    with pytest.raises(ValueError, match="need `grid`"):
        embeddings.embed(model, EmbeddingRule("cls"), tokens)
    with pytest.raises(ValueError, match=r"multiple of 4, got 24 for 12 heads"):
        ViTConfig(image_size=16, patch_size=4, width=24, depth=2, heads=12, mlp_width=1, rotary=1e2)
