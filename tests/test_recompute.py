"""Derivatives of recomputed functions: those of the function, and nothing kept but the input."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax.encoders import load_encoder
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.recompute import recomputed

pytestmark = pytest.mark.usefixtures("x64")


@dataclasses.dataclass(frozen=True)
class Layer:
    """Two nonlinear steps with (5, 5) weights, applied to (3, 5)."""

    power: int

    def __call__(self, x, w, v):
        return jnp.sin(x @ w) @ v + x**self.power


@pytest.fixture
def inputs(x64):
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = (3, 5), (5, 5), (5, 5)
    return tuple(jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))


def kept(x, w, v):
    return recomputed(Layer(3), recomputed(Layer(2), x, w, v), w, v)


def plain(x, w, v):
    return Layer(3)(Layer(2)(x, w, v), w, v)


def close(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), ours, theirs)


def same(transform, *args):
    ours, theirs = jax.jit(lambda *args: [transform(f)(*args) for f in (kept, plain)])(*args)
    close(ours, theirs)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit, jax.checkpoint])
def test_value(inputs, transform):
    close(transform(kept)(*inputs), plain(*inputs))


@pytest.mark.parametrize("jacobian", [jax.jacrev, jax.jacfwd])
def test_jacobian_in_the_input_and_in_parameters(inputs, jacobian):
    which = (0, 1, (0, 2))
    same(lambda f: lambda *x: [jacobian(f, argnums)(*x) for argnums in which], *inputs)


def test_second_derivatives(inputs):
    same(lambda f: jax.hessian(lambda *a: (f(*a) ** 2).sum()), *inputs)


def test_many_cotangents_of_many_inputs(inputs):
    x, w, v = inputs
    cotangents = jax.random.normal(jax.random.key(1), (2, 4, *x.shape))

    def pulled(f):
        def one(x, cotangents):
            pull = jax.vjp(lambda x: f(x, w, v), x)[1]
            return jax.lax.map(lambda g: pull(g)[0], cotangents, batch_size=2)

        return jax.vmap(one)

    same(pulled, jnp.stack([x, -x]), cotangents)


def test_a_function_for_each_cotangent(inputs):
    x, w, v = inputs

    def pulled(f):
        return jax.vmap(lambda w, g: jax.vjp(lambda x: f(x, w, v), x)[1](g)[0])

    same(pulled, jnp.stack([w, 2 * w]), jnp.stack([x, -x]))


def test_keeps_the_input_alone(inputs):
    sizes = lambda f: sum(
        leaf.size for leaf in jax.tree.leaves(jax.vjp(lambda x: f(x, *inputs[1:]), inputs[0])[1])
    )
    x, w, v = inputs
    assert sizes(lambda *a: recomputed(Layer(2), *a)) == x.size + w.size + v.size
    assert sizes(Layer(2)) > x.size + w.size + v.size


def test_an_encoder_whose_blocks_are_recomputed(monkeypatch):
    encoder = load_encoder("embedded", dtype=jnp.float64)
    x = jax.random.normal(jax.random.key(0), (encoder.image_size, encoder.image_size, 3))
    rows = lambda e: jax.jit(jax.jacrev(e.embed, argnums=1))(e.state, x)
    expected = rows(encoder)
    assert not encoder.config.recompute
    monkeypatch.setattr(ViTConfig, "recompute", True)
    again = load_encoder("embedded", dtype=jnp.float64)
    np.testing.assert_allclose(rows(again), expected, atol=1e-12 * abs(expected).max())


def test_deep_encoders_are_recomputed():
    """ViT-L and larger; memory of each: benchmarks/memory."""
    shape = {"image_size": 28, "patch_size": 14, "width": 8, "heads": 2, "mlp_width": 16}
    assert [ViTConfig(depth=depth, **shape).recompute for depth in (12, 24)] == [False, True]
