"""Embedding rules and their closed-form null directions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_models import random_model
from typechecked import unchecked

from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.vit_config import ViTConfig

CONFIG = ViTConfig(
    image_size=16,
    patch_size=8,
    width=24,
    depth=2,
    heads=3,
    mlp_width=48,
    layer_norm_eps=1e-9,
    registers=2,
    projection=10,
)


def check_null_directions(config: ViTConfig, rule: EmbeddingRule, count: int) -> None:
    """They are orthonormal, null to the LayerNorm's epsilon of 1e-9, and nothing else is null."""
    model = random_model(config)
    image = jnp.asarray(np.random.default_rng(1).standard_normal((16, 16, 3)))
    embed = lambda x: embeddings.embed(model, rule, model.tokens(x))

    @jax.jit
    def both(x):
        return jax.jacrev(embed)(x), embeddings.null_basis(model, rule, embed(x))

    jacobian, null = map(np.asarray, both(image))
    jacobian = jacobian.reshape(-1, image.size)
    assert null.shape == (rule.size(config), count)
    assert embeddings.null_count(config, rule) == count
    np.testing.assert_allclose(null.T @ null, np.eye(count), atol=1e-12)
    sigma = np.linalg.svd(jacobian, compute_uv=False)
    assert np.abs(null.T @ jacobian).max(initial=0) < 1e-7 * sigma[0]
    assert (sigma < 1e-7 * sigma[0]).sum() == count


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ("cls", 2),
        ("mean", 1),
        ("projected", 0),
        ("cls@1", 0),
        ("mean@2", 0),
        ("cls+normalized", 2),
        ("mean+normalized", 1),
        ("projected+normalized", 1),
        ("cls@2+normalized", 1),
    ],
)
def test_null_directions_are_null_and_all_there_are(rule, count):
    check_null_directions(CONFIG, EmbeddingRule.parse(rule), count)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("projection", "normalized", "count"),
    [(23, False, 1), (24, False, 2), (30, False, 8), (23, True, 1), (24, True, 2), (30, True, 8)],
)
def test_null_directions_of_a_projection_to_about_the_width_or_more(projection, normalized, count):
    config = dataclasses.replace(CONFIG, projection=projection)
    check_null_directions(config, EmbeddingRule("cls", None, True, normalized), count)


@pytest.mark.usefixtures("x64")
def test_null_directions_where_the_norm_follows_the_pooling():
    config = dataclasses.replace(CONFIG, norm_pooled=True)
    check_null_directions(config, EmbeddingRule("mean"), 2)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("rule", "count"), [("cls", 1), ("mean", 0), ("cls+normalized", 1), ("mean+normalized", 1)]
)
def test_null_directions_of_norms_without_a_mean(rule, count):
    config = dataclasses.replace(CONFIG, projection=None, rms_norm=True)
    check_null_directions(config, EmbeddingRule.parse(rule), count)


FORMS = "must be one of 'cls', 'mean', 'projected', 'cls@N', 'mean@N'"
ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(-2, 10**7), st.just("8"), st.just(3.0))


@given(st.sampled_from(["cls", "mean", "max", "projected", "", None]), ANYTHING, ANYTHING, ANYTHING)
@settings(deadline=None, max_examples=300)
@example("mean", None, True, False)  # Once written as "projected", which is another embedding.
@example("cls", 8, True, False)  # Once written as "projected@8", which nothing reads.
@example("max", None, False, False)  # Once the mean.
def test_a_rule_is_written_as_what_reads_back_or_is_none(pool, layer, projected, normalized):
    legal = (
        pool in ("cls", "mean")
        and (layer is None or (type(layer) is int and 1 <= layer < 10**6))
        and type(projected) is bool
        and type(normalized) is bool
        and not (projected and (pool == "mean" or layer is not None))
    )
    if legal:
        rule = EmbeddingRule(pool, layer, projected, normalized)
        assert EmbeddingRule.parse(str(rule)) == rule
        return
    with unchecked(), pytest.raises(ValueError, match=FORMS) as error:
        EmbeddingRule(pool, layer, projected, normalized)
    assert f"got EmbeddingRule(pool={pool!r}, layer={layer!r}" in str(error.value)


@pytest.mark.parametrize("unit", ["", "+normalized"])
@pytest.mark.parametrize("name", ["cls", "mean", "projected", "cls@1", "mean@24", "cls@999999"])
def test_every_form_is_a_rule_written_so(name, unit):
    assert str(EmbeddingRule.parse(name + unit)) == name + unit


@pytest.mark.parametrize(
    "text",
    "|CLS|cls@|projected@3|cls + normalized|cls@-1|cls@0|cls@08|cls@\u0663|cls\n".split("|"),
)
def test_an_unknown_rule_lists_the_forms(text):
    with pytest.raises(ValueError, match=FORMS):
        EmbeddingRule.parse(text)


def test_a_layer_of_5000_digits_lists_the_forms():
    with pytest.raises(ValueError, match=FORMS):
        EmbeddingRule.parse("cls@" + "9" * 5000)


def test_a_rule_needs_what_it_names():
    headless = dataclasses.replace(CONFIG, cls_token=False, projection=None)
    for text in ("cls", "projected"):
        with pytest.raises(ValueError, match="this encoder has none"):
            EmbeddingRule.parse(text).check(headless)


def test_the_mean_leaves_cls_and_registers_out():
    model = random_model(CONFIG)
    image = jnp.ones((16, 16, 3), jnp.float32)
    tokens = jax.jit(lambda x: model.norm(model.features(model.tokens(x))))(image)
    assert tokens.shape[0] == 1 + 2 + 4
    mean = EmbeddingRule("mean")
    found = jax.jit(lambda x: embeddings.embed(model, mean, model.tokens(x)))(image)
    np.testing.assert_allclose(found, tokens[3:].mean(0), rtol=1e-6)
