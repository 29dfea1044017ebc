import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from jepa_jax import Exact, jacobian
from jepa_jax.densities.mixture import Mixture
from jepa_jax.scoring import log_density


def scored(f, points):
    def one(x):
        operator = jacobian(f, x)
        return Exact()(operator).log_volume, operator.value

    return jax.jit(jax.vmap(one))(points)


def test_the_corrected_score_of_a_whitening_map_is_the_log_density(x64):
    rng = np.random.default_rng(0)
    factor = np.linalg.cholesky(np.cov(rng.normal(size=(3, 20))))
    mean = rng.normal(size=3)
    x = mean + rng.normal(size=(10, 3)) @ factor.T
    volume, z = scored(lambda x: jnp.linalg.inv(factor) @ (x - mean), jnp.asarray(x))
    expected = multivariate_normal(mean, factor @ factor.T).logpdf(x)
    np.testing.assert_allclose(log_density(volume, z, "corrected"), expected, rtol=1e-10)
    # The score alone is a constant here: it does not know the density at all.
    assert np.ptp(log_density(volume, z, "score")) < 1e-10 < 1 < np.ptp(expected)


def test_the_corrected_score_of_a_nonlinear_transport_is_the_log_density(x64):
    # The quantile transform of a one-dimensional mixture: exactly N(0, 1), and injective.
    mixture = Mixture.of([0.7, 0.3], [[-1.0], [2.0]], [0.5, 0.2])

    def f(x):
        scale = jnp.asarray([0.5, 0.2]) ** 0.5
        below = jax.scipy.stats.norm.cdf((x - jnp.asarray([-1.0, 2.0])) / scale)
        share = (jnp.asarray([0.7, 0.3]) * below).sum()
        return jax.scipy.special.ndtri(share)[None]

    x = jnp.linspace(-2.5, 3.0, 30)[:, None]
    volume, z = scored(f, x)
    np.testing.assert_allclose(log_density(volume, z), mixture.log_prob(x), rtol=1e-9)


def test_on_a_sphere_the_score_is_the_log_density_up_to_the_area(x64):
    # Archimedes: (u, phi) on [-1, 1] x [0, 2 pi) with equal areas on the sphere of R^3. With u the
    # odd cubic of a, p(a, phi) is the slope of u over twice 2 pi.
    def f(x):
        u = (3 * x[0] - x[0] ** 3) / 2
        radius = jnp.sqrt(1 - u**2)
        return jnp.stack([radius * jnp.cos(x[1]), radius * jnp.sin(x[1]), u])

    x = jnp.asarray(np.random.default_rng(0).uniform([-0.9, 0.1], [0.9, 6.0], (20, 2)))

    def one(x):
        operator = jacobian(f, x, null_basis=lambda z: z[:, None])
        return Exact()(operator).log_volume, operator.value

    volume, z = jax.jit(jax.vmap(one))(x)
    expected = jnp.log(1.5 * (1 - x[:, 0] ** 2) / (4 * jnp.pi))
    np.testing.assert_allclose(
        log_density(volume, z, "score") - jnp.log(4 * jnp.pi), expected, rtol=1e-9
    )


def test_a_fold_is_too_dense_by_the_log_of_its_sheets(x64):
    # Two distant copies of N(0, 1) laid on one another: the embeddings are N(0, 1), and every one
    # has two inputs.
    mixture = Mixture.of([0.5, 0.5], [[-9.0], [9.0]], [1.0, 1.0])
    x = jnp.array([[-9.5], [-8.0], [9.0], [10.0]])
    volume, z = scored(lambda x: jnp.where(x > 0, x - 9, x + 9), x)
    np.testing.assert_allclose(log_density(volume, z) - mixture.log_prob(x), np.log(2), rtol=1e-9)


def test_mistakes_are_refused(annotations_unchecked):
    with pytest.raises(ValueError, match="`density` must be one of"):
        log_density(jnp.zeros(2), jnp.zeros((2, 3)), "both")  # pyright: ignore
    with pytest.raises(ValueError, match="one for each score"):
        log_density(jnp.zeros(2), jnp.zeros((3, 3)))
