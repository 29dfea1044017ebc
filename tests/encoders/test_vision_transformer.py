"""The transformer's parts for many cotangents at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax.encoders.layers import LayerNorm, RMSNorm


@pytest.mark.parametrize("cotangents", [16, 64])
def test_layer_norm_pulls_many_cotangents_back_right(cotangents):
    # 64 x 65 x 192 elements: from 0.8 million on, jaxlib 0.10 gave wrong sums (jepa_jax/xla.py).
    norm = LayerNorm(192, 1e-6)
    rng = np.random.default_rng(0)
    x, g = rng.normal(1, 3, (65, 192)), rng.standard_normal((cotangents, 65, 192))
    pull = jax.vjp(norm, jnp.asarray(x, jnp.float32))[1]
    found = jax.jit(jax.vmap(pull))(jnp.asarray(g, jnp.float32))[0]
    deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    n = (x - x.mean(-1, keepdims=True)) / deviation
    expected = g - g.mean(-1, keepdims=True) - n * (g * n).mean(-1, keepdims=True)
    np.testing.assert_allclose(found, expected / deviation, atol=1e-5)


@pytest.mark.usefixtures("x64")
def test_rms_norm_and_its_derivatives():
    """Forwards and backwards, against the formula as it stands."""
    norm, x = RMSNorm(6, 1e-3), jnp.asarray(np.random.default_rng(0).normal(1, 2, (3, 6)))
    plain = lambda x: x / jnp.sqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(norm(x), plain(x), rtol=1e-12)
    for jacobian in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(jacobian(norm)(x), jacobian(plain)(x), atol=1e-12)
