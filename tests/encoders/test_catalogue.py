"""The published encoders: their sizes as their authors state them."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jepa_jax.encoders.catalogue import catalogue
from jepa_jax.encoders.embedding import EmbeddingRule, embed
from jepa_jax.encoders.parameters import abstract_model
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.encoders.vjp_flops import vjp_flops

ENTRIES = {entry.name: entry for entry in catalogue()}


@pytest.mark.parametrize(
    ("name", "k", "millions"),
    [
        ("facebook/dinov2-small", 384, 22.1),
        ("facebook/dinov2-base", 768, 86.6),
        ("facebook/dinov2-large", 1024, 304.4),
        ("facebook/dinov2-giant", 1536, 1136.5),
        ("facebook/dinov2-with-registers-small", 384, 22.1),
        ("facebook/ijepa_vith14_1k", 1280, 630.8),
        ("facebook/ijepa_vitg16_22k", 1408, 1011.4),
        ("openai/clip-vit-base-patch32", 512, 87.8),
        ("openai/clip-vit-large-patch14", 768, 304.0),
        ("facebook/metaclip-h14-fullcc2.5b", 1024, 632.1),
        # As the papers and model pages state them.
        ("facebook/dinov3-vits16-pretrain-lvd1689m", 384, 21.6),
        ("facebook/dinov3-vits16plus-pretrain-lvd1689m", 384, 28.7),
        ("facebook/dinov3-vitb16-pretrain-lvd1689m", 768, 85.7),
        ("facebook/dinov3-vitl16-pretrain-lvd1689m", 1024, 303.1),
        ("facebook/dinov3-vith16plus-pretrain-lvd1689m", 1280, 840.5),
        ("facebook/dinov3-vit7b16-pretrain-lvd1689m", 4096, 6716),
        ("facebook/dino-vits16", 384, 21.7),
        ("facebook/vit-mae-huge", 1280, 630.8),
        ("timm/vit_small_patch16_224.dino", 384, 21.7),
        # As Meta's page has them, 300 M and 2 B, to more digits.
        ("vjepa2_1_vitl_dist_vitG_384.pt", 1024, 303.1),
        ("vjepa2_1_vitG_384.pt", 1664, 1839),
    ],
)
def test_sizes(name, k, millions):
    assert ENTRIES[name].k == k
    assert abs(ENTRIES[name].parameters / 1e6 - millions) < 0.005 * millions


def test_what_is_known_of_them():
    gated = ENTRIES["facebook/dinov3-vitb16-pretrain-lvd1689m"]
    assert gated.facts is not None
    assert gated.facts.gated
    assert gated.null == 2
    pickled = ENTRIES["facebook/dino-vits16"].facts
    assert pickled is not None
    assert not pickled.safetensors
    for name, argument in (
        ("facebook/vit-mae-base", "control"),
        ("facebook/dino-vits8", "justified"),
        ("openai/clip-vit-base-patch32", "contrastive"),
    ):
        facts = ENTRIES[name].facts
        assert facts is not None
        assert facts.argument == argument


def test_the_embedded_encoder_comes_first():
    assert next(iter(ENTRIES)) == "embedded"


@pytest.mark.parametrize("rule", ["cls", "mean", "cls@2"])
def test_flops_of_a_vjp_are_those_of_the_program(rule):
    config = ViTConfig(image_size=56, patch_size=14, width=96, depth=3, heads=4, mlp_width=384)
    rule, model = EmbeddingRule.parse(rule), abstract_model(config)
    graph, state = nnx.split(model)

    def embedding(state, image):
        vit = nnx.merge(graph, state)
        return embed(vit, rule, vit.tokens(image))

    def program(state, image, cotangent):
        return jax.vjp(lambda x: embedding(state, x), image)[1](cotangent)

    image = jax.ShapeDtypeStruct((56, 56, 3), jnp.float32)
    cotangent = jax.ShapeDtypeStruct((96,), jnp.float32)
    both = jax.jit(program).lower(state, image, cotangent).cost_analysis()["flops"]
    forward = jax.jit(embedding).lower(state, image)
    # The program is a forward pass and a VJP. Elementwise work, a tenth at this small width, is
    # not counted in ours.
    vjp = both - forward.cost_analysis()["flops"]
    assert abs(vjp_flops(config, rule, 56, 56) / vjp - 1) < 0.15
