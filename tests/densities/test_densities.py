import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from jepa_jax.densities import named as reference
from jepa_jax.densities.density import Density
from jepa_jax.densities.images import Images
from jepa_jax.densities.mixture import Mixture
from jepa_jax.densities.product import Product
from jepa_jax.densities.spiral import Spiral

PLANE = ("isotropic", "unbalanced", "correlated", "spiral")
OTHERS = {
    "mixture-8": reference.mixture(8),
    "mixture-32": reference.mixture(32),
    "mixture-64": reference.mixture(64),
    "product": reference.product(6),
    "images": reference.images(8),
}
ALL = {name: reference.load_density(name) for name in PLANE} | OTHERS


# One program a density, rather than one an operation.
log_prob = jax.jit(lambda density, x: density.log_prob(x))
sample = jax.jit(lambda density, key, n: density.sample(key, n), static_argnums=2)


def grid_integral(density, of_log_prob):
    """The integral of a function of log p over a square with all but 1e-6 of the mass."""
    points = np.linspace(-7, 7, 600)
    step = points[1] - points[0]
    x = np.stack(np.meshgrid(points, points), -1).reshape(-1, 2)
    values = of_log_prob(np.asarray(log_prob(density, jnp.asarray(x)), np.float64))
    return values.sum() * step**2


@pytest.mark.parametrize("name", ["unbalanced", "correlated", "spiral"])
def test_the_density_integrates_to_one_and_has_the_entropy_of_its_samples(name, x64):
    density = ALL[name]
    # Smooth functions on a grid finer than their width: the rectangle rule is exact to 1e-6.
    np.testing.assert_allclose(grid_integral(density, np.exp), 1, atol=1e-5)
    log_p = np.asarray(log_prob(density, sample(density, jax.random.key(0), 40_000)))
    entropy = -grid_integral(density, lambda v: v * np.exp(v))
    error = log_p.std() / np.sqrt(len(log_p))
    assert abs(-log_p.mean() - entropy) < 4 * error


@pytest.mark.parametrize("name", ["isotropic", "spiral", "mixture-32", "product", "images"])
def test_one_density_integrates_to_one_under_the_samples_of_itself(name, x64):
    # E_p[q/p] = 1 for every q. Here q is p stretched by s about its samples' mean m,
    # q(x) = p(m + (x - m) / s) / s^D: a sampler that does not fit log_prob, or a missing
    # Jacobian factor that depends on x, breaks it.
    density = ALL[name]
    x = sample(density, jax.random.key(1), 20_000)
    d = int(np.prod(density.shape))
    if isinstance(density, Images):
        logits = jnp.log(x) - jnp.log1p(-x)
        stretched = 0.98 * logits
        log_jacobian = d * np.log(0.98) + (
            jnp.log(jax.nn.sigmoid(stretched) * jax.nn.sigmoid(-stretched)) - jnp.log(x * (1 - x))
        ).sum((1, 2))
        y = jax.nn.sigmoid(stretched)
    else:
        centre = x.mean(0, keepdims=True)
        y = centre + 0.95 * (x - centre)
        log_jacobian = d * np.log(0.95)
    ratio = np.asarray(jnp.exp(log_prob(density, y) + log_jacobian - log_prob(density, x)))
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(ratio))
    # The bound above says something: an error of 10 % of the density's mass would break it.
    assert ratio.std() / np.sqrt(len(ratio)) < 0.02


@pytest.mark.parametrize("name", ["correlated", "mixture-8"])
def test_a_mixture_is_the_sum_of_its_normals(name, x64):
    density = ALL[name]
    x = np.random.default_rng(0).normal(size=(50, *density.shape))
    expected = sum(
        np.exp(log_weight) * multivariate_normal(mean, factor @ factor.T).pdf(x)
        for log_weight, mean, factor in zip(
            density.log_weights, density.means, density.factors, strict=True
        )
    )
    np.testing.assert_allclose(log_prob(density, jnp.asarray(x)), np.log(expected), rtol=1e-12)


def test_samples_of_a_correlated_normal_have_its_covariance():
    covariance = np.array([[[1.0, 0.8], [0.8, 2.0]]])
    x = np.asarray(sample(Mixture.of([1.0], [[3.0, -1.0]], covariance), jax.random.key(0), 20_000))
    # The error of a variance of v over n samples is v sqrt(2 / n): .02 here; four of these.
    np.testing.assert_allclose(np.cov(x.T), covariance[0], atol=0.08)
    np.testing.assert_allclose(x.mean(0), [3.0, -1.0], atol=0.04)


def test_weights_are_the_shares_of_the_samples():
    x = np.asarray(sample(reference.unbalanced(), jax.random.key(0), 20_000))
    centres = np.asarray(reference.unbalanced().means)
    nearest = np.linalg.norm(x[:, None] - centres, axis=-1).argmin(1)
    # Components overlap by a few per cent.
    np.testing.assert_allclose(np.bincount(nearest) / len(x), [0.6, 0.3, 0.1], atol=0.03)


def test_the_density_of_images_has_the_jacobian_of_the_map(x64):
    density = reference.images(4)
    u = sample(density.frequencies, jax.random.key(0), 3)

    def image(u):
        fixed = Images(_Fixed(u))
        return fixed.sample(jax.random.key(0), 1)[0].ravel()

    images, jacobians = jax.jit(lambda u: (jax.vmap(image)(u), jax.vmap(jax.jacfwd(image))(u)))(u)
    expected = log_prob(density.frequencies, u) - np.linalg.slogdet(np.asarray(jacobians))[1]
    found = log_prob(density, images.reshape(3, 4, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


class _Fixed:
    """Always the same point."""

    def __init__(self, point):
        self.point, self.shape = point, point.shape

    def sample(self, key, n):
        return jnp.broadcast_to(self.point, (n, *self.shape))

    def log_prob(self, x):
        raise NotImplementedError


def test_a_spiral_counts_every_winding(x64):
    # Two angles a turn apart meet where the pitch is small against the width: the naive formula
    # with one preimage would lose mass there.
    tight = Spiral(pitch=0.05, width=0.2, spread=3.0, start=2.0)
    np.testing.assert_allclose(grid_integral(tight, np.exp), 1, atol=1e-4)


def test_a_product_adds_log_densities():
    left, right = reference.isotropic(), reference.mixture(8)
    x = jax.random.normal(jax.random.key(0), (7, 10))
    found = log_prob(Product((left, right)), x)
    expected = np.asarray(log_prob(left, x[:, :2])) + np.asarray(log_prob(right, x[:, 2:]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["mixture-64", "images"])
def test_densities_are_pytrees_and_deterministic(name):
    density = ALL[name]
    assert isinstance(density, Density)
    jitted = jax.jit(lambda density, key: density.log_prob(density.sample(key, 10)))
    key = jax.random.key(3)
    x = sample(density, key, 10)
    assert x.shape == (10, *density.shape)
    # float32 sums of up to 64 coordinates, and cancelling logs of pixels.
    np.testing.assert_allclose(jitted(density, key), log_prob(density, x), rtol=2e-4, atol=1e-3)
    assert not np.array_equal(x, sample(density, jax.random.key(4), 10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [0.0], [1.0]), "`means` must have shape"),
        (([1.0, 1.0], [[0.0]], [1.0]), "`weights` must be 1 positive"),
        (([-1.0], [[0.0]], [1.0]), "`weights` must be 1 positive"),
        (([1.0], [[0.0, 1.0]], [[1.0]]), "`covariances` must have shape"),
        (([1.0], [[0.0]], [-1.0]), "positive definite"),
    ],
)
def test_mixtures_refuse_what_is_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixture.of(*arguments)


def test_an_unknown_density_names_the_known_ones():
    with pytest.raises(ValueError, match=r"isotropic.*spiral.*'moons'"):
        reference.load_density("moons")
