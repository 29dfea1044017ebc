"""Every precision of every published encoder, method and setting lowers for a GPU and a TPU.

Without one at hand. That proves that a program can be built there, not its numbers or its speed.
Shapes alone: no weights, nothing is compiled.
"""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax import Exact, Hutchinson, Lanczos, Projection, Sketch, SketchSamples, XTrace, jacobian
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.encoders.families import FAMILIES
from jepa_jax.encoders.family import full_config
from jepa_jax.encoders.parameters import abstract_model
from jepa_jax.encoders.pillow_processor import PillowProcessor
from jepa_jax.encoders.preprocessing import Preprocess
from jepa_jax.encoders.projector import ProjectorConfig
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.precisions import PRECISIONS, Precision
from jepa_jax.scoring.numerics import matmul_precision

PLATFORMS = ("cuda", "tpu")
PREPROCESS = Preprocess(PillowProcessor.of("ViTImageProcessor", {}), {})
SHAPE = {"image_size": 16, "patch_size": 4, "width": 24, "heads": 2, "mlp_width": 32}
PLAIN = (ViTConfig(**SHAPE, depth=1), EmbeddingRule("cls"))


def published() -> dict[str, tuple[ViTConfig, EmbeddingRule]]:
    """Every kind of published encoder, by the first of its names: small, of one block."""
    found = {}
    names = [field.name for field in dataclasses.fields(ViTConfig)]
    for family in FAMILIES:
        for name, hub in family.published.items():
            config = family.config(full_config(family, hub))
            small = {field: getattr(config, field) for field in names} | SHAPE | {"depth": 1}
            # Numbers that change no operation, at the size that positions are stored for.
            small |= {"layer_norm_eps": 1e-6, "antialias_positions": False}
            small |= {"sincos_positions": False}
            if not isinstance(config.qkv_bias, bool):
                small["qkv_bias"] = any(config.qkv_bias)
            if config.projection is not None:
                # To fewer coordinates, or to as many: null directions are for these alone.
                small["projection"] = 12 if config.projection < config.width else 24
            found.setdefault((ViTConfig(**small), family.rule(config)), name)
    return {name: kind for kind, name in found.items()}


# And one that goes on through a projector, wider than the token that it is given.
PROJECTOR = ProjectorConfig((20, 40, 28), (True, True, True), (False, True))
KINDS = published() | {
    "LeJEPA": (ViTConfig(**SHAPE, depth=1, projector=PROJECTOR), EmbeddingRule("projector"))
}
METHODS = {
    "exact": Exact(),
    "exact, spectrum": Exact(spectrum=True, shares=True),
    "exact, clip": Exact(rank="clip"),
    "exact, gram": Exact(factor="gram", spectrum=True, shares=True),
    "exact, qr": Exact(factor="qr", rank="clip"),
    "lanczos": Lanczos(steps=3, probes=2),
    "lanczos, clip": Lanczos(steps=3, probes=2, rank="clip"),
    "hutchinson": Hutchinson(degree=4, probes=2, interval_steps=3),
    "hutchinson, clip": Hutchinson(degree=4, probes=2, interval_steps=3, rank="clip"),
    "projection": Projection(oversampling=2),
    "xtrace": XTrace(steps=3, products=4),
}


def traced(
    estimator,
    precision: Precision = "highest",
    depth: int = 2,
    batch: int = 2,
    kind: tuple[ViTConfig, EmbeddingRule] = PLAIN,
):
    """The program, to be lowered for any platform."""
    config, rule = kind
    model = abstract_model(dataclasses.replace(config, depth=depth))
    encoder = Encoder("shapes", model, rule, 16, PREPROCESS, "none")

    def run(state, fitted, images, keys):
        method = estimator if fitted is None else fitted

        def one(image, key):
            return method(jacobian_of(encoder, state, image, 4), key)

        return jax.vmap(one)(images, keys)

    fitted = estimator if isinstance(estimator, Sketch) else None
    images = jax.ShapeDtypeStruct((batch, 16, 16, 3), jnp.float32)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), batch))
    with matmul_precision(precision):
        return jax.jit(run).trace(encoder.state, fitted, images, keys)


def lowered(program, platform: str) -> str:
    text = program.lower(lowering_platforms=(platform,)).as_text()
    assert "func.func public @main" in text
    return text


def lowers_everywhere(program) -> None:
    for platform in PLATFORMS:
        lowered(program, platform)


def test_kinds_are_those_of_all_families():
    """What sets families apart is among them, and what they have in common once."""
    assert 10 <= len(KINDS) <= 19
    configs = [config for config, _ in KINDS.values()]
    for name in (
        "registers",
        "gated_mlp",
        "layer_scale",
        "rotary",
        "attention_pool",
        "projection",
        "rms_norm",
        "rotary_grid",
    ):
        assert {bool(getattr(config, name)) for config in configs} == {True, False}, name
    assert {rule.pool for _, rule in KINDS.values()} == {"cls", "mean", "pooled", "projector"}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", KINDS)
def test_rows_of_every_kind_of_encoder_at_every_precision(name, precision):
    """All that a method takes of an encoder, whichever it is."""

    def rows(operator, key):
        one = operator.rows(jnp.eye(len(operator.value))[:1])
        # The null directions are float32's whatever the precision.
        return (one, operator.null_basis) if precision == "highest" else one

    program = traced(rows, precision, depth=1, batch=1, kind=KINDS[name])
    # Both in one program, each with its own form of what differs: float64 parts do not stand that.
    text = program.lower(lowering_platforms=PLATFORMS).as_text()
    assert "func.func public @main" in text


@pytest.mark.parametrize("name", METHODS)
def test_every_method_and_setting(name):
    lowers_everywhere(traced(METHODS[name]))


@pytest.mark.parametrize("precision", PRECISIONS[1:])
@pytest.mark.parametrize("name", ["exact", "lanczos", "hutchinson", "projection", "xtrace"])
def test_every_method_at_every_precision(name, precision):
    lowers_everywhere(traced(METHODS[name], precision, depth=1, batch=1))


# The types of a product's operands, and the algorithm where one is named.
_SHORT = r"bf16>, tensor<\S*bf16>\) -> tensor<\S*f32>"


@pytest.mark.parametrize(
    ("precision", "of_encoder"),
    [
        ("bf16", {"cuda": _SHORT, "tpu": _SHORT}),
        ("bf16x3", {"cuda": _SHORT, "tpu": _SHORT}),
        ("tf32", {"cuda": "lhs_precision_type = tf32", "tpu": "HIGHEST"}),
    ],
)
def test_what_is_multiplied(precision, of_encoder):
    """An encoder's products alone leave float32, and all of them do."""
    plain = traced(Exact(), depth=1, batch=1)
    found = traced(Exact(), precision, depth=1, batch=1)
    for platform in PLATFORMS:
        before, after = (products(lowered(program, platform)) for program in (plain, found))
        assert len(before) == len(after)
        own = [line for line in after if re.search(of_encoder[platform], line)]
        others = [line for line in after if line not in own]
        # K x K work and what is not differentiated stays as it was.
        assert all(line in before for line in others)
        assert not any("bf16" in line or "tf32" in line for line in others)
        assert len(own) > 10
        # On a TPU a tf32 product is a float32 one, of rounded operands.
        assert any("f64" in line for line in others) or (platform, precision) == ("tpu", "tf32")


def products(program: str) -> list[str]:
    """The products of a program, without what they are of and where they were written."""
    lines = [line for line in program.splitlines() if "stablehlo.dot_general" in line]
    return [re.sub(r"%\S+| loc\(.*|^ +", "", line) for line in lines]


def sketch_of(encoder: Encoder) -> Sketch:
    """One of 4 cotangents, with covariates in the encoder's shapes."""
    rng = np.random.default_rng(0)
    matrices = jnp.asarray(rng.normal(size=(16, 24, 60)), jnp.float32)
    covariates = jax.eval_shape(
        lambda s, u: encoder.covariates(s, u),
        encoder.state,
        jax.ShapeDtypeStruct((4, 4, 24), jnp.float32),
    )
    draw = lambda i: {
        n: jnp.sin(i + jnp.arange(c.size, dtype=c.dtype)) for n, c in covariates.items()
    }
    operators = [
        jacobian(lambda x, m=m: m @ x, jnp.zeros(60), covariates=lambda i=i: draw(float(i)))
        for i, m in enumerate(matrices)
    ]
    return Sketch(SketchSamples.measure(operators, cotangents=4).fit(4).calibration)


def test_a_sketch_with_its_covariates_at_every_precision(annotations_unchecked):
    config, rule = PLAIN
    config = dataclasses.replace(config, depth=2)
    sketch = sketch_of(Encoder("shapes", abstract_model(config), rule, 16, PREPROCESS, "none"))
    for precision in PRECISIONS:
        lowers_everywhere(traced(sketch, precision, batch=1))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"rotary": 100.0, "depth": 17}, "mean"),
        ({"norm_pooled": True, "cls_token": False}, "mean"),
        ({"projection": 24}, "projected+normalized"),
    ],
)
def test_what_no_published_encoder_has(settings, rule):
    kind = (ViTConfig(**(SHAPE | {"depth": 1} | settings)), EmbeddingRule.parse(rule))
    lowers_everywhere(traced(Exact(), depth=settings.get("depth", 2), batch=1, kind=kind))


def test_encoders_that_compute_their_blocks_again():
    lowers_everywhere(traced(Exact(), "bf16", depth=17, batch=1))


def test_derivatives():
    def gradient(m):
        return jax.grad(lambda m: Exact()(jacobian(lambda x: m @ x, jnp.zeros(9))).log_volume)(m)

    shape = jax.ShapeDtypeStruct((4, 9), jnp.float32)
    lowers_everywhere(jax.jit(gradient).trace(shape))
