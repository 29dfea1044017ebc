"""Exact scores corrected by a line: against the textbook's least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jepa_jax import Exact, jacobian
from jepa_jax.estimators import Corrected, Line


def pairs(n=20, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(-500, 80, n)
    return x, 12 + 0.97 * x + noise * rng.normal(size=n)


def of(value):
    """A Jacobian of this log-volume, 3 x 3."""
    return jacobian(lambda x: jnp.exp(value / 3) * x, jnp.ones(3))


def test_the_line_is_that_of_least_squares():
    x, y = pairs()
    line, expected = Line.fit(x, y), stats.linregress(x, y)
    at = np.float32([-700, -500, -420])
    value, error = line.predict(at)
    np.testing.assert_allclose(value, expected.intercept + expected.slope * at, rtol=1e-5)
    # The standard error of prediction, from that of the line at a point and of one residual.
    residuals = y - expected.intercept - expected.slope * x
    sigma = np.sqrt((residuals**2).sum() / (len(x) - 2))
    of_line = np.sqrt(sigma**2 / len(x) + (expected.stderr * (at - x.mean())) ** 2)
    np.testing.assert_allclose(error, np.sqrt(sigma**2 + of_line**2), rtol=1e-4)


def test_its_error_bar_covers():
    """Of new pairs of the same kind, two of its standard errors cover 95 % or so."""
    inside = []
    for seed in range(40):
        x, y = pairs(seed=seed)
        value, error = Line.fit(x[:12], y[:12]).predict(np.float32(x[12:]))
        inside += (np.abs(value - y[12:]) < 2 * error).tolist()
    # t with 10 degrees of freedom is within 2 with probability .927; 320 draws: +- .015.
    assert 0.88 < np.mean(inside) < 0.98


def test_estimate():
    x = np.linspace(-6, -2, 9)
    method = Corrected(Line.fit(x, 1 + 2 * x))
    found = jax.jit(jax.vmap(lambda v: method(of(v))))(jnp.array([-4.0, -6.4, -7.0, 9.0]))
    np.testing.assert_allclose(found.log_volume, [-7, -11.8, -13, 19], rtol=1e-5)
    # Beyond a quarter more than the farthest of 2 from the centre, -4.
    assert found.flagged.tolist() == [False, False, True, True]
    assert np.isnan(found.bias_bound).all()
    assert found.rank.tolist() == [3] * 4
    assert method.cost(384, 10_000) == Exact().cost(384, 10_000)


def test_a_deficient_jacobian_stays_without_a_score():
    x = np.arange(9.0)
    method = Corrected(Line.fit(x, -x))  # Even where the line falls.
    found = method(jacobian(lambda x: x * jnp.array([1.0, 0.0]), jnp.ones(2)))
    assert found.log_volume == -np.inf


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.arange(7), np.arange(7), "at least 8 pairs, got 7 and 7"),
        (np.arange(9), np.arange(8), "got 9 and 8"),
        (np.ones(9), np.arange(9), "must differ from image to image"),
    ],
)
def test_what_no_line_goes_through_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        Line.fit(x, y)
