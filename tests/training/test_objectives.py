import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax.training import objectives
from jepa_jax.training.objectives import invariance, uniformity_floor
from jepa_jax.training.weighted_objective import Weight, evaluate, make_objective

# One program, rather than one an operation.
sigreg, vicreg, uniformity = (
    jax.jit(f, static_argnames=names)
    for f, names in (
        (objectives.sigreg, ("slices", "limit", "points", "bandwidth")),
        (objectives.vicreg, ()),
        (objectives.uniformity, ("sharpness",)),
    )
)
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
    one = lambda k: objectives.sigreg(jax.random.normal(k[0], (256, 16)), k[1], slices=64)
    values = jax.jit(jax.vmap(one))(keys)
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
    z = jax.random.normal(jax.random.key(0), (2048, 2)) * jnp.array([[2.0, 0.5]])
    of_sigreg = jax.grad(functools.partial(objectives.sigreg, slices=64))
    gradient = jax.jit(of_sigreg)(z, jax.random.key(1))
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


@pytest.mark.parametrize(
    "settings", [{"points": 16}, {"points": 1}, {"slices": 0}, {"bandwidth": 0}]
)
def test_sigreg_refuses_settings(settings):
    with pytest.raises(ValueError, match="must be"):
        sigreg(jnp.zeros((2, 2)), jax.random.key(0), **settings)


@pytest.mark.parametrize("bandwidth", [0.5, 2.0])
def test_the_floor_of_a_bandwidth_is_the_documented_one(bandwidth):
    keys = jax.random.split(jax.random.key(0), (32, 2))
    settings = {"slices": 64, "limit": 4 * bandwidth, "points": 33, "bandwidth": bandwidth}
    one = lambda k: objectives.sigreg(jax.random.normal(k[0], (256, 8)), k[1], **settings)
    value = jax.jit(jax.vmap(one))
    floor = np.sqrt(2 * np.pi) * bandwidth * (1 - 1 / np.sqrt(1 + 2 * bandwidth**2))
    # As at bandwidth 1: three standard deviations of the mean, which grow with the floor.
    assert abs(value(keys).mean() - floor) < 0.2 * floor


def test_vicreg_of_known_embeddings():
    # Variances 1/3 and 16/3 (unbiased), covariance 0: only the first falls short of 1.
    z = jnp.array([[0.5, 2.0], [-0.5, 2.0], [0.5, -2.0], [-0.5, -2.0]])
    short = 1 - np.sqrt(1 / 3)
    np.testing.assert_allclose(vicreg(z, eps=0.0), 25 * short / 2, rtol=1e-6)
    # Perfectly correlated, of variance 4/3: the hinge is 0, both off-diagonals are 4/3.
    correlated = jnp.array([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]])
    np.testing.assert_allclose(vicreg(correlated, eps=0.0), 2 * (4 / 3) ** 2 / 2, rtol=1e-6)


def test_vicreg_does_not_see_the_shape_of_a_distribution():
    # Why it is no objective for densities: a square of the right covariance is at its optimum.
    z = jax.random.uniform(jax.random.key(0), (8192, 2), minval=-np.sqrt(3), maxval=np.sqrt(3))
    assert vicreg(1.05 * z) < 0.01
    assert sigreg(z, jax.random.key(1)) > 10 * FLOOR


@pytest.mark.parametrize(("k", "sharpness"), [(2, 2.0), (3, 4.0), (16, 1.0)])
def test_uniformity_of_uniform_samples_is_its_floor(k, sharpness):
    z = jax.random.normal(jax.random.key(0), (4096, k))
    z /= jnp.linalg.norm(z, axis=1, keepdims=True)
    found = uniformity(z, sharpness=sharpness)
    # A degenerate U-statistic: its error is of order 1 / n, relative to a mean of .05 and more.
    np.testing.assert_allclose(found, uniformity_floor(k, sharpness), atol=0.01)


def test_uniformity_of_a_point_and_of_known_pairs():
    np.testing.assert_allclose(uniformity(jnp.ones((5, 3))), 0, atol=1e-5)
    z = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    # Squared distances 4, 2, 2.
    expected = np.log((np.exp(-12.0) + 2 * np.exp(-6.0)) / 3)
    np.testing.assert_allclose(uniformity(z, sharpness=3.0), expected, rtol=1e-5)


def test_gradient_of_uniformity_pushes_points_apart():
    z = jnp.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]])
    step = -jax.jit(jax.grad(objectives.uniformity))(z)
    assert step[0, 1] > 0 > step[1, 1]


@pytest.mark.parametrize(
    ("z", "settings", "message"),
    [(jnp.ones((4, 2)), {"sharpness": 0}, "positive"), (jnp.ones((1, 2)), {}, "at least 2 points")],
)
def test_uniformity_refuses(z, settings, message):
    with pytest.raises(ValueError, match=message):
        uniformity(z, **settings)


def test_an_objective_is_the_weighted_sum_of_its_terms():
    z = jax.random.normal(jax.random.key(0), (2, 64, 3))
    key = jax.random.key(1)
    found = evaluate(
        make_objective(
            {"invariance": {"weight": 3.0}, "sigreg": {"weight": [0.01, 1.0], "slices": 4}}
        ),
        z,
        key,
        0.5,
    )
    each = np.mean([sigreg(view, key, slices=4) for view in z])
    np.testing.assert_allclose(found["sigreg"], each, rtol=1e-5)
    np.testing.assert_allclose(found["total"], 3 * invariance(z) + 0.1 * each, rtol=1e-5)


def test_weights_go_in_equal_ratios():
    weight = Weight(1.0, 100.0)
    np.testing.assert_allclose([weight.at(s) for s in (0, 0.5, 1)], [1, 10, 100])
    assert Weight.of(0.0).at(0.3) == 0
    with pytest.raises(ValueError, match=r"a number or \[start, end\]"):
        Weight.of([1, 2, 3])


def test_an_objective_needs_a_term():
    with pytest.raises(ValueError, match="must have a term of invariance"):
        make_objective({})
