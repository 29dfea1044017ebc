"""The transformer's parts for many cotangents at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax.encoders.layers import LayerNorm


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
