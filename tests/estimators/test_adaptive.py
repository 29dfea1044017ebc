"""Probes and steps until the stated errors are within a tolerance: as many as each image needs."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum
from random_methods import KEY as KEY_OF_RUN
from random_methods import run

from jepa_jax import Hutchinson, Lanczos, jacobian
from jepa_jax.estimators import probes
from jepa_jax.estimators.adaptive import Round, until

SPECTRA = np.load(Path(__file__).parent.parent / "fixtures" / "spectra.npz")
# Of keys of the generator that tests use elsewhere a batch has no independent numbers.
KEY = jax.random.key(7)
SIGMA = np.geomspace(30.0, 0.01, 12)


def rounds_of(key, spread, tolerance, most=256):
    """Of values of a known mean, 3, and a known spread."""

    def round_of(key):
        values = 3 + spread * jax.random.normal(key, (4,))
        return Round(values, jnp.float32(1), jnp.int32(0), jnp.int32(4))

    return until(round_of, key, 4, tolerance, most)


def test_as_many_as_each_needs_and_the_stated_error_is_right():
    """The spread of values differs a hundredfold: so does the number of them, squared, and every
    error that is stated is one of the size that it has."""
    count, tolerance = 4000, 1.0
    spread = jnp.geomspace(0.1, 10, count)
    found = jax.jit(jax.vmap(lambda key, s: rounds_of(key, s, tolerance)))(
        jax.random.split(KEY, count), spread
    )
    assert float(found.std_error.max()) <= tolerance
    error = np.abs(np.asarray(found.mean) - 3)
    narrow, wide = np.asarray(spread) < 0.3, np.asarray(spread) > 3
    assert (found.products[narrow] == 4).all()
    # s^2 / tolerance^2 values at least, but for the uncertainty of s.
    assert found.products[-100:].mean() > 80
    # Four standard deviations of a share of so many images; a stop where the error looks small
    # costs no more than 2 points of 95.
    for part in (narrow, ~narrow & ~wide, wide):
        inside = (error <= 1.96 * np.asarray(found.std_error))[part].mean()
        assert inside >= 0.93 - 4 * np.sqrt(0.05 * 0.95 / part.sum())
    # Within twice the tolerance, whatever was stated.
    assert (error <= 1.96 * tolerance).mean() >= 0.94
    np.testing.assert_allclose(found.bias_bound, 1, rtol=1e-5)


def test_mean_and_error_are_those_of_all_values():
    """Here of two rounds, at most: the tolerance is out of reach, and the error says so."""
    found = jax.jit(lambda key: rounds_of(key, 5.0, 1e-3, most=8))(KEY)
    keys = [jax.random.fold_in(KEY, i) for i in (0, 1)]
    values = 3 + 5 * np.concatenate([jax.random.normal(key, (4,)) for key in keys])
    assert float(found.mean) == pytest.approx(values.mean(), rel=1e-5)
    # Student's t at 97.5 % with 7 degrees of freedom, over the normal distribution's.
    expected = 2.364624 / 1.959964 * values.std(ddof=1) / np.sqrt(8)
    assert float(found.std_error) == pytest.approx(expected, rel=1e-5)
    assert int(found.products) == 8


@pytest.mark.parametrize("row", [0, 1])
def test_steps_grow_until_the_bias_is_within_the_tolerance(row):
    """On real spectra, where ten steps are off by 50 nats and more."""
    sigma = SPECTRA["vits14"][row, :-2].astype(np.float64)[::2]
    matrix = matrix_with_spectrum(sigma, len(sigma)).astype(np.float32)
    values, vectors = np.linalg.eigh(matrix.astype(np.float64) @ matrix.astype(np.float64).T)
    drawn = probes.draw(jax.random.fold_in(KEY_OF_RUN, 0), "sphere", 2, len(sigma), jnp.float32)
    truth = (np.square(np.asarray(drawn, np.float64) @ vectors) @ np.log(values) / 2).mean()
    few = run(Lanczos(steps=10, probes=2, tolerance=1e4, most_probes=2), matrix)
    assert int(few.products) == 20
    enough = run(Lanczos(steps=10, probes=2, tolerance=5.0, most_probes=2), matrix)
    bias, bias_of_few = (float(e.log_volume) - truth for e in (enough, few))
    assert 0 < bias < 5 < bias_of_few
    assert bias < float(enough.bias_bound)
    assert 20 < int(enough.products) < 2 * len(sigma)


def test_all_steps_leave_the_error_of_the_probes_alone():
    """Each of a batch has its own number of probes: of equal singular values the first will do, and
    a zero or what is not a number ends it."""
    spectra = [SIGMA, np.full(12, 2.0), [*SIGMA[:-1], 0.0], SIGMA]
    matrices = np.stack([matrix_with_spectrum(s, 40) for s in spectra]).astype(np.float32)
    matrices[3, 0, 0] = np.nan
    settings = Lanczos(steps=12, tolerance=1.5)

    @jax.jit
    def estimates(matrices):
        one = lambda matrix: settings(jacobian(lambda x: matrix @ x, jnp.ones(40)), KEY)
        return jax.vmap(one)(matrices)

    found = estimates(matrices)
    assert 4 * 12 < found.products[0]
    assert found.products[0] % (4 * 12) == 0
    np.testing.assert_array_equal(found.products[1:], 4 * 12)
    assert float(found.std_error[0]) <= 1.5
    assert float(found.std_error[1]) < 1e-3
    np.testing.assert_array_equal(found.bias_bound[:2], 0)
    assert abs(float(found.log_volume[0]) - np.log(SIGMA).sum()) < 4 * 1.5
    # Float32 products of 12 equal logs.
    assert float(found.log_volume[1]) == pytest.approx(12 * np.log(2), abs=1e-3)
    assert float(found.log_volume[2]) == -np.inf
    np.testing.assert_array_equal(found.rank[:3], [12, 12, 11])
    assert np.isnan(float(found.log_volume[3]))


def test_hutchinson_too():
    """A condition at which degree 30 is exact: what is left is the error that is stated."""
    matrix = matrix_with_spectrum(np.geomspace(1, 0.2, 12), 40).astype(np.float32)
    settings = Hutchinson(degree=30, probes=4, lower_margin=1.1, tolerance=0.4)

    @jax.jit
    def estimates(keys):
        one = lambda key: settings(jacobian(lambda x: matrix @ x, jnp.ones(40)), key)
        return jax.vmap(one)(keys)

    found = estimates(jax.random.split(KEY, 500))
    assert float(found.std_error.max()) <= 0.4
    rounds = (np.asarray(found.products) - 10) / (4 * 15)
    assert (rounds == rounds.round()).all()
    assert rounds.min() < rounds.max()
    error = np.abs(np.asarray(found.log_volume) - np.log(np.geomspace(1, 0.2, 12)).sum())
    # Four standard deviations of a share of 500, below 93 %.
    assert (error <= 1.96 * np.asarray(found.std_error)).mean() > 0.93 - 4 * 0.01


def test_settings():
    with pytest.raises(ValueError, match="`tolerance` must be positive, got 0"):
        Lanczos(tolerance=0)
    with pytest.raises(ValueError, match="`tolerance` needs `probes` of at least 2, got 1"):
        Hutchinson(probes=1, tolerance=1.0)
    with pytest.raises(ValueError, match="`most_probes` must be at least `probes`, 8, got 4"):
        Lanczos(probes=8, tolerance=1.0, most_probes=4)
    with pytest.raises(ValueError, match="`key` must be a JAX random key"):
        Lanczos(tolerance=1.0)(jacobian(lambda x: x, jnp.ones(3)))
