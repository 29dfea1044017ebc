"""Rank in float32: noise of the factorisation is no singular value, small ones of encoders are."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum

from jepa_jax import Exact, Hutchinson, Lanczos, Sketch, SketchSamples, XTrace, jacobian
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


@functools.cache
def program(estimator):
    def one(a):
        operator = jacobian(lambda x: jnp.matmul(a, x, precision="highest"), jnp.zeros(a.shape[1]))
        return estimator(operator, jax.random.key(0))

    return jax.jit(jax.vmap(one))


def estimates(estimator, matrices):
    """Of up to 64 matrices, always by the same program."""
    filled = np.stack([*matrices, *[matrices[0]] * (64 - len(matrices))])
    return jax.tree.map(lambda x: x[: len(matrices)], program(estimator)(jnp.asarray(filled)))


RANDOM = [Lanczos(), Hutchinson(), XTrace(steps=6, products=6)]


@pytest.mark.parametrize("estimator", RANDOM, ids=lambda e: type(e).__name__)
def test_a_zero_that_the_steps_see_is_no_number(estimator):
    ranks = [2 + seed % 4 for seed in range(8)]
    several = [deficient(6, 14, rank, 0.3, seed) for seed, rank in enumerate(ranks)]
    for seed in range(8):  # A row twice: what fills the zero up is a few roundings.
        a = np.random.default_rng(seed).standard_normal((6, 14), np.float32)
        several.append(a[[0, 1, 2, 3, 4, 0]])
    several.append(np.zeros((6, 14), np.float32))
    estimate = estimates(estimator, several)
    assert estimate.log_volume.tolist() == [-np.inf] * len(several)
    # No more than that: of equal singular values one is seen.
    bounds = estimate.rank.tolist()
    assert all(r <= found < 6 for r, found in zip([*ranks, *[5] * 8, 0], bounds, strict=True))


@pytest.mark.parametrize("estimator", RANDOM, ids=lambda e: type(e).__name__)
def test_full_rank_is_told_from_that_to_a_condition_of_a_million(estimator):
    sigma = np.geomspace(1, 1e-6, 6)
    a = matrix_with_spectrum(sigma, 14, 3).astype(np.float32)
    b = np.random.default_rng(0).standard_normal((6, 14), np.float32)
    b[0] *= 1e6
    estimate = estimates(estimator, [a, b])
    assert estimate.rank.tolist() == [6, 6]
    truth = [np.log(np.linalg.svd(m.astype(float), compute_uv=False)).sum() for m in (a, b)]
    error = np.abs(np.asarray(estimate.log_volume, np.float64) - truth)
    stated = 4 * np.asarray(estimate.std_error) + np.nan_to_num(np.asarray(estimate.bias_bound))
    assert (error <= stated).all()


def a_matrix_and_its_scales(scales):
    a = np.random.default_rng(0).standard_normal((6, 14), np.float32)
    with np.errstate(over="ignore"):
        scaled = [a * np.float32(scale) for scale in scales]
    truth = []
    for b in scaled:  # What has become zero or infinite by now is no more in the matrix.
        finite = np.isfinite(b).all()
        sigma = np.linalg.svd(b.astype(np.float64), compute_uv=False) if finite else [np.nan]
        truth.append(np.log(sigma).sum())
    return a, scaled, np.array(truth)


SMALL = np.geomspace(1e-34, 1e-39, 41)
LARGE = np.geomspace(1e36, 3e38, 21)


@pytest.mark.parametrize("method", [*METHODS, "svd", "auto"])
def test_no_wrong_number_near_the_ends_of_float32(method):
    """Entries that have become zero, some of them, on a platform without subnormal numbers."""
    _, scaled, truth = a_matrix_and_its_scales([*SMALL, *LARGE])
    if method in METHODS:
        run = lambda a: factor.volume_and_rank(METHODS[method](a))[0]
        values = jax.jit(jax.vmap(run))(jnp.asarray(np.stack(scaled)))
    else:
        values = estimates(Exact(factor=method), scaled).log_volume
    values = np.asarray(values, np.float64)
    small, large = values[: len(SMALL)], values[len(SMALL) :]
    assert np.isneginf(small[-8:]).all()
    right = np.isfinite(small)
    assert right[:10].all()
    np.testing.assert_allclose(small[right], truth[: len(SMALL)][right], atol=0.01)
    assert not np.isneginf(large).any()
    right = np.isfinite(large)
    assert right[0]
    np.testing.assert_allclose(large[right], truth[len(SMALL) :][right], atol=0.01)


@pytest.mark.parametrize("estimator", RANDOM, ids=lambda e: type(e).__name__)
def test_nor_by_random_methods(estimator):
    a, scaled, _ = a_matrix_and_its_scales([*SMALL, *LARGE])
    values = np.asarray(estimates(estimator, [a, *scaled]).log_volume, np.float64)
    scales = np.concatenate([SMALL, LARGE]).astype(np.float32).astype(np.float64)
    shifts = (values[1:] - values[0]) - 6 * np.log(scales)
    right = np.isfinite(shifts)
    assert right[:8].all()
    assert not right[len(SMALL) - 8 : len(SMALL)].any()
    # XTrace leaves out a multiple of I, all but a little that depends on its size.
    np.testing.assert_allclose(
        shifts[right], 0, atol=5e-2 if isinstance(estimator, XTrace) else 0.01
    )


def test_a_sketch_says_so_where_its_rows_are_deficient():
    rng = np.random.default_rng(0)
    matrices = rng.standard_normal((24, 8, 20)) * np.linspace(0.5, 2, 24)[:, None, None]
    operators = [jacobian(lambda x, m=m: m @ x, jnp.zeros(20)) for m in jnp.float32(matrices)]
    fit = SketchSamples.measure(operators, cotangents=4).fit(4, ["spectrum"])
    sketch = Sketch(fit.calibration)
    full = matrices[5]
    several = np.float32([full, full[[0, 0, 0, 0, 0, 0, 1, 1]], 0 * full])
    estimate = jax.jit(jax.vmap(lambda a: sketch(jacobian(lambda x: a @ x, jnp.zeros(20)))))(
        several
    )
    assert np.isfinite(estimate.log_volume[0])
    assert estimate.log_volume[1:].tolist() == [-np.inf] * 2
    assert estimate.rank.tolist() == [8, 6, 4]  # No more than that: 2 and 0.
    assert estimate.flagged.tolist() == [False, True, True]


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
