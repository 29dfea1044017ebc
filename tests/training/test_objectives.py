import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax.training.objectives import invariance, sigreg

FLOOR = np.sqrt(2 * np.pi) * (1 - 1 / np.sqrt(3))


def gap(characteristic):
    """integral |phi(t) - e^{-t^2/2}|^2 e^{-t^2/2} dt, for a known characteristic function."""
    t = np.linspace(-12, 12, 100_001)
    normal = np.exp(-(t**2) / 2)
    return np.trapezoid((characteristic(t) - normal) ** 2 * normal, t)


def test_invariance_of_known_views():
    # Means (2, 2) and (0, 3): the squares are 1, 0, 1, 0 and 0, 4, 0, 4.
    z = jnp.array([[[1.0, 2.0], [0.0, 1.0]], [[3.0, 2.0], [0.0, 5.0]]])
    np.testing.assert_allclose(invariance(z), 10 / 8)
    assert invariance(z[:1]) == 0


def test_sigreg_of_normal_samples_is_its_floor():
    keys = jax.random.split(jax.random.key(0), (32, 2))
    values = jax.vmap(lambda k: sigreg(jax.random.normal(k[0], (256, 16)), k[1], slices=64))(keys)
    # A slice's statistic is a weighted sum of squared normals of mean 1.06, so of standard
    # deviation at most 1.5; 32 samples of 16 independent directions leave .07. Three of these.
    assert abs(values.mean() - FLOOR) < 0.2


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
def test_sigreg_of_scaled_samples_is_n_times_the_known_gap(scale):
    n = 8192
    z = scale * jax.random.normal(jax.random.key(0), (n, 4))
    expected = gap(lambda t: np.exp(-((scale * t) ** 2) / 2))
    value = sigreg(z, jax.random.key(1), slices=32) / n
    # The empirical characteristic function is off by about 1 / sqrt(n): .011, twice that of gap's
    # square root, which is .26 at the least.
    np.testing.assert_allclose(value, expected, rtol=0.1)


def test_sigreg_sees_more_than_the_covariance():
    n, width = 8192, np.sqrt(3)
    z = jax.random.uniform(jax.random.key(0), (n, 1), minval=-width, maxval=width)
    expected = gap(lambda t: np.sinc(width * t / np.pi))
    value = sigreg(z, jax.random.key(1), slices=1)
    # n * gap is 60 here, with a cross term of a few and the floor on top of it.
    np.testing.assert_allclose(value, n * expected, rtol=0.25)
    assert value > 10 * FLOOR


def test_gradient_of_sigreg_pushes_towards_isotropy():
    z = jax.random.normal(jax.random.key(0), (2048, 2)) * jnp.array([2.0, 0.5])
    gradient = jax.grad(sigreg)(z, jax.random.key(1), slices=64)
    # d/dlog(scale) of each coordinate: descent shrinks the wide one and widens the narrow one.
    wide, narrow = (gradient * z).sum(0)
    assert wide > 0 > narrow


def test_half_of_the_integral_is_the_whole_of_it():
    z = jax.random.normal(jax.random.key(0), (64, 1)) * 1.5 + 0.3
    t = np.linspace(-5, 5, 17)
    normal = np.exp(-(t**2) / 2)
    empirical = np.exp(1j * t * np.asarray(z)).mean(0)
    expected = 64 * np.trapezoid(np.abs(empirical - normal) ** 2 * normal, t)
    np.testing.assert_allclose(sigreg(z, jax.random.key(1), slices=1), expected, rtol=1e-5)


@pytest.mark.parametrize("settings", [{"points": 16}, {"points": 1}, {"slices": 0}])
def test_sigreg_refuses_settings(settings):
    with pytest.raises(ValueError, match="must be"):
        sigreg(jnp.zeros((2, 2)), jax.random.key(0), **settings)
