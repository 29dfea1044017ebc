"""Rank in float32: noise of the factorisation is no singular value, small ones of encoders are."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum

from jepa_jax import Exact, Hutchinson, Lanczos, XTrace, jacobian
from jepa_jax.estimators import factor

SPECTRA = np.load(Path(__file__).parents[1] / "fixtures" / "spectra.npz")
METHODS = {
    "wide": lambda a: factor.gram(a, jnp.float64),
    "two passes": lambda a: factor.gram(a, a.dtype),
    "qr": factor.qr,
}


def deficient(m: int, n: int, rank: int, decay: float, seed: int) -> np.ndarray:
    """A float32 matrix of full size whose singular values beyond `rank` are its own rounding."""
    sigma = np.exp(-decay * np.linspace(0, 1, m)) * (np.arange(m) < rank)
    return matrix_with_spectrum(sigma, n, seed).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("m", "n", "rank", "decay"), [(12, 40, 11, 0.0), (12, 40, 9, 5.0), (60, 500, 59, 6.0)]
)
def test_what_rounding_fills_up_is_counted_out(method, m, n, rank, decay):
    if method == "two passes" and m > 12:
        pytest.skip("their rounding passes what the smallest values of real encoders have")
    a = jnp.stack([jnp.asarray(deficient(m, n, rank, decay, seed)) for seed in range(3)])
    volumes, ranks = jax.jit(jax.vmap(lambda a: factor.volume_and_rank(METHODS[method](a))))(a)
    assert volumes.tolist() == [-np.inf] * 3
    assert ranks.tolist() == [rank] * 3
    full = jnp.asarray(deficient(m, n, m, decay, 0))
    volume, found = factor.volume_and_rank(METHODS[method](full))
    assert int(found) == m
    expected = -decay * np.linspace(0, 1, m).sum()
    assert float(volume) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["vits14", "vitl14"])
def test_every_live_singular_value_of_real_encoders_counts(method, name):
    """Condition up to 8e6: the smallest are but a few units of the noise above it."""
    sigma = SPECTRA[name][1, :-2].astype(np.float64)
    a = jnp.asarray(matrix_with_spectrum(sigma, 2 * len(sigma)), jnp.float32)
    volume, rank = jax.jit(lambda a: factor.volume_and_rank(METHODS[method](a)))(a)
    assert int(rank) == len(sigma)
    # The matrix's own rounding to float32 moves the smallest ones by half of their size.
    assert float(volume) == pytest.approx(np.log(sigma).sum(), abs=2.0)


@pytest.mark.parametrize("name", ["auto", "gram", "qr", "svd"])
def test_exact_says_the_rank_and_no_number(name):
    a = deficient(12, 40, 11, 0.0, 0)
    estimate = Exact(factor=name)(jacobian(lambda x: a @ x, jnp.zeros(40)))
    assert float(estimate.log_volume) == -np.inf
    assert int(estimate.rank) == 11
    # Listing 1 clips: it has a number for every matrix.
    clipped = Exact(rank="clip", eps=1e-3, factor=name)(jacobian(lambda x: a @ x, jnp.zeros(40)))
    assert float(clipped.log_volume) == pytest.approx(np.log(1e-3), abs=1e-4)


@pytest.mark.parametrize(
    "estimator", [Lanczos(), Hutchinson(), XTrace(products=4)], ids=lambda e: type(e).__name__
)
def test_a_zero_that_the_steps_see_is_no_number(estimator):
    a = deficient(4, 9, 2, 0.3, 1)
    estimate = jax.jit(
        lambda a: estimator(jacobian(lambda x: a @ x, jnp.zeros(9)), jax.random.key(0))
    )(a)
    assert float(estimate.log_volume) == -np.inf


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize(
    "estimator",
    [
        Exact(),
        Exact(factor="qr"),
        Exact(factor="svd"),
        Lanczos(steps=12),
        Hutchinson(),
        XTrace(steps=12),
        Lanczos(steps=12, rank="clip", eps=1e-12),
    ],
    ids=lambda e: f"{type(e).__name__}-{e.rank}-{getattr(e, 'factor', '')}",
)
def test_scale_is_a_shift_of_the_score(estimator, scale):
    """Squares of the entries would leave float32; n log(scale) is all that scale adds."""
    a = deficient(12, 40, 12, 1.0, 0)
    run = jax.jit(lambda a: estimator(jacobian(lambda x: a @ x, jnp.zeros(40)), jax.random.key(0)))
    one, other = (float(run(a * np.float32(s)).log_volume) for s in (1.0, scale))
    shift = 12 * np.log(np.float32(scale), dtype=np.float64)
    if estimator.rank == "clip" and scale < 1:
        assert other == pytest.approx(12 * np.log(1e-12), abs=1e-2)
    else:
        # XTrace leaves out a multiple of I, all but a little that depends on its size.
        tolerance = 5e-2 if isinstance(estimator, XTrace) else 2e-3
        assert other - one == pytest.approx(shift, abs=tolerance)


def test_two_passes_stand_scale_too():
    a = jnp.asarray(deficient(12, 40, 12, 1.0, 0))
    one, _ = factor.volume_and_rank(METHODS["two passes"](a))
    for scale in (1e30, 1e-30):
        other, rank = factor.volume_and_rank(METHODS["two passes"](a * scale))
        assert int(rank) == 12
        assert float(other - one) == pytest.approx(12 * np.log(scale), abs=1e-3)
