"""What the tests of the random methods share: one key, one way to run them."""

import jax
import jax.numpy as jnp
import numpy as np
from known import function_with_jacobian

from jepa_jax import jacobian
from jepa_jax.estimators import probes

X = np.random.default_rng(1).standard_normal(40).astype(np.float32)
KEY = jax.random.key(7, impl="rbg")  # It compiles sooner than the default.


def one_estimate(settings, matrix, null_basis=None, key=KEY):
    """The estimate for a nonlinear function whose Jacobian is `matrix`."""
    matrix = jnp.asarray(matrix, jnp.float32)
    x = jnp.asarray(np.resize(X, matrix.shape[1]))
    null_basis = None if null_basis is None else jnp.asarray(null_basis, jnp.float32)
    operator = jacobian(function_with_jacobian(matrix, x), x, chunk=3, null_basis=null_basis)
    return settings(operator, key)


run = jax.jit(one_estimate, static_argnums=0)


def score_of_tanh(settings, matrix, x, key):
    """The score of x -> matrix tanh(x)."""
    operator = jacobian(lambda y: matrix @ jnp.tanh(y), x, chunk=3)
    return settings(operator, key).log_volume


def quadratic_forms(gram, settings, function=np.log):
    """What the probes alone make of it: w^T f(sqrt(gram)) w of each of the estimator's probes."""
    values, vectors = np.linalg.eigh(gram)
    drawn = probes.draw(KEY, settings.sampler, settings.probes, len(gram), jnp.float32)
    return np.square(np.asarray(drawn, np.float64) @ vectors) @ function(np.sqrt(values))
