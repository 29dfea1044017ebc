"""Functions and matrices with a known answer."""

import jax.numpy as jnp
import numpy as np


def matrix_with_spectrum(sigma, columns: int, seed: int = 0) -> np.ndarray:
    """A float64 (len(sigma), columns) matrix: these singular values, random singular vectors."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((len(sigma), len(sigma))))[0]
    right = np.linalg.qr(rng.standard_normal((columns, len(sigma))))[0]
    return (left * np.asarray(sigma, np.float64)) @ right.T


def function_with_jacobian(matrix, x):
    """A nonlinear function whose Jacobian at `x` is `matrix`."""
    matrix, x = jnp.asarray(matrix), jnp.asarray(x)

    def f(y):
        z = matrix @ y.ravel()
        return z + jnp.sin(matrix[:, ::-1] @ jnp.square(y.ravel() - x.ravel()))

    return f
