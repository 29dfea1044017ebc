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
from jepa_jax.encoders.projector import ProjectorConfig
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
        token = embeddings.embed_token(model, rule, model.tokens(x))
        return jax.jacrev(embed)(x), embeddings.null_basis(model, rule, embed(x), token)

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


# Outputs of the layers, which of them have biases, the token, and by what the output is bounded: of
# a width of 24, 22 are live of a CLS token, 23 of a mean of normed tokens.
PROJECTORS = {
    "narrow": ((40, 12), (True, True), "cls", 12),
    "from a token": ((40, 30), (True, True), "cls", 22),
    "from a mean": ((40, 30), (True, True), "mean", 23),
    "from a layer": ((14, 40, 18), (True, True, True), "cls", 14),
    "from a layer, no bias": ((14, 40, 18), (True, False, False), "cls", 14),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        ("narrow", True),
        ("from a token", False),
        ("from a mean", True),
        ("from a layer", True),
        ("from a layer, no bias", True),
    ],
)
def test_null_directions_of_a_projector(name, normalized):
    """A normalised embedding's besides, unless itself takes one of them: it lies in none where a
    layer's output is widened without a bias."""
    widths, biases, token, live = PROJECTORS[name]
    # GELU, which leaves all units of a narrow layer some slope; with ReLU, by luck.
    straight = "no bias" in name
    activated = (False, *[True] * (len(widths) - 2)) if straight else (True,) * (len(widths) - 1)
    projector = ProjectorConfig(widths, biases, activated, "relu" if straight else "gelu", token)
    config = dataclasses.replace(CONFIG, depth=1, projection=None, projector=projector)
    own = widths[-1] - live
    count = own + (normalized and (own == 0 or straight))
    check_null_directions(config, EmbeddingRule("projector", normalized=normalized), count)


def test_null_directions_of_a_wide_projector_need_the_token():
    projector = ProjectorConfig((40, 30), (True, True), (True,))
    config = dataclasses.replace(CONFIG, projection=None, projector=projector)
    with pytest.raises(ValueError, match="of 'projector' need `token`, got None"):
        embeddings.null_basis(random_model(config), EmbeddingRule("projector"), jnp.zeros(30))


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


FORMS = "must be one of 'cls', 'mean', 'projected', 'projector', 'cls@N', 'mean@N'"
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
@pytest.mark.parametrize("name", ["cls", "mean", "projected", "projector", "cls@1", "mean@24"])
def test_every_form_is_a_rule_written_so(name, unit):
    assert str(EmbeddingRule.parse(name + unit)) == name + unit


@pytest.mark.parametrize(
    "text",
    "|CLS|cls@|projected@3|projector@3|cls + normalized|cls@-1|cls@0|cls@08|cls@\u0663|cls\n".split(
        "|"
    ),
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
