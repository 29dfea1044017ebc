"""The learned sketch: its features, its regression against direct leave-one-out, its errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import matrix_with_spectrum

from jepa_jax import Exact, Sketch, SketchSamples, jacobian
from jepa_jax.estimators.sketch.covariate_features import features
from jepa_jax.estimators.sketch.fitting import _conformal_limit
from jepa_jax.estimators.sketch.measurement import Measurement, measure, restrict

K, D = 24, 60


def operator(matrix, **settings):
    return jacobian(lambda x: matrix @ x, jnp.zeros(matrix.shape[1], matrix.dtype), **settings)


# One program for all sketches of a size and all matrices.
run = jax.jit(lambda sketch, matrix: sketch(operator(matrix)))


def random_matrix(rng):
    """A log-spectrum of two random parameters, random singular vectors: float32 (K, D)."""
    slope, level = rng.uniform(0.5, 3), rng.normal()
    sigma = np.exp(level - slope * np.linspace(0, 1, K))
    return jnp.asarray(matrix_with_spectrum(sigma, D, int(rng.integers(1 << 30))), jnp.float32)


@pytest.fixture(scope="module")
def matrices():
    rng = np.random.default_rng(0)
    return [random_matrix(rng) for _ in range(80)]


@pytest.fixture(scope="module")
def samples(matrices):
    return SketchSamples.measure([operator(m) for m in matrices[:50]], cotangents=12)


def score(matrix):
    return float(np.linalg.slogdet(np.asarray(matrix, np.float64) @ np.asarray(matrix).T)[1] / 2)


def orthonormal(count):
    return np.linalg.qr(np.random.default_rng(0).normal(size=(K, count)))[0].T


def test_measure_and_restrict_give_the_exact_score_and_the_sketch(matrices):
    omega = orthonormal(7)
    null = jnp.asarray(np.linalg.svd(np.random.default_rng(0).normal(size=(K, 2)))[0][:, :2])
    live = jnp.eye(K) - null.astype(jnp.float32) @ null.T.astype(jnp.float32)

    @jax.jit
    def both(matrix, null):
        j = operator(matrix, null_basis=null)
        return measure(j), Exact()(j).log_volume

    found, exact = both(live @ matrices[0], null.astype(jnp.float32))
    assert float(found.score) == pytest.approx(float(exact), abs=1e-4)
    matrix = np.asarray(live @ matrices[0])
    assert found.sketch.shape == (K, K - 2)
    root = np.asarray(found.sketch)
    np.testing.assert_allclose(root @ root.T, matrix @ matrix.T, rtol=1e-4, atol=1e-5)
    sketch = restrict(found, omega).sketch
    rows = omega @ matrix
    np.testing.assert_allclose(sketch @ sketch.T, rows @ rows.T, rtol=1e-4, atol=1e-5)
    assert np.abs(np.triu(sketch, 1)).max() == 0


def test_fitted_and_computed_features_are_the_same(matrices, samples):
    """What the fit takes from the measured sketch is what a new image's VJPs give."""
    omega = jnp.asarray(samples.cotangents[:5])

    def of_spectrum(matrix):
        jacobian = operator(matrix)
        return features(jacobian, jacobian.rows(omega), ("spectrum",))["spectrum"]

    found = jax.jit(of_spectrum)(matrices[3])
    rows = np.asarray(omega @ matrices[3], np.float64)
    eigenvalues = np.linalg.eigvalsh(rows @ rows.T)[::-1]
    expected = np.log([*eigenvalues, eigenvalues.sum()])
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(samples._columns("spectrum", 5)[3], expected, atol=2e-5)


def test_leave_one_out_is_what_refitting_without_the_image_gives(samples):
    """In closed form against 50 fits: the same penalty and centring, up to the mean's 1/n."""
    fit = samples.fit(6, ["spectrum"])
    c = fit.calibration
    a = (samples._columns("spectrum", 6) - np.asarray(c.centres["spectrum"], np.float64)) * (
        np.asarray(c.scales["spectrum"], np.float64)
    )
    y, penalty = fit.scores, float(c.penalty)
    for i in (0, 7, 23):
        rest = np.delete(np.arange(len(y)), i)
        # An intercept of its own, unpenalised, is what the leverage's 1/n stands for.
        x = np.hstack([np.ones((len(rest), 1)), a[rest]])
        ridge = penalty * np.eye(x.shape[1])
        ridge[0, 0] = 0
        w = np.linalg.solve(x.T @ x + ridge, x.T @ y[rest])
        assert fit.predictions[i] == pytest.approx(w[0] + a[i] @ w[1:], rel=1e-4)


def test_held_out_error_is_what_the_calibration_says(matrices, samples):
    fit = samples.fit(8)
    estimator = Sketch(fit.calibration)
    found = [run(estimator, m) for m in matrices[50:]]
    exact = np.array([score(m) for m in matrices[50:]])
    residuals = np.array([float(e.log_volume) for e in found]) - exact
    errors = np.array([float(e.std_error) for e in found])
    spread = np.std([score(m) for m in matrices])
    assert fit.rmse < 0.2 * spread
    assert fit.spearman > 0.95
    # 30 images: the root mean square has a standard error of 13 %.
    assert 0.6 * fit.rmse < np.sqrt(np.mean(residuals**2)) < 1.5 * fit.rmse
    assert 0.45 < np.mean(np.abs(residuals) < errors) < 0.9
    assert np.isnan(float(found[0].bias_bound))
    assert int(found[0].rank) == K


def test_more_cotangents_and_telling_covariates_lower_the_error(matrices, samples):
    assert samples.fit(12).rmse < samples.fit(3).rmse
    # A covariate that all but knows the score, beside one that knows nothing.
    scores = samples.measured.score
    rng = np.random.default_rng(1)
    hint = np.stack([scores + 0.1 * rng.normal(size=50), rng.normal(size=50)], axis=1)
    measured = samples.measured._replace(covariates={"norms": hint.astype(np.float32)})
    with_hint = SketchSamples(samples.cotangents, measured, K)
    assert with_hint.fit(3).rmse < samples.fit(3).rmse
    fitted = with_hint.fit(3)
    assert fitted.calibration.blocks == ("spectrum", "norms")
    covariates = lambda: {"norms": jnp.asarray(hint[0], jnp.float32)}
    hinted = jax.jit(lambda sketch, m: sketch(operator(m, covariates=covariates)))
    found = hinted(Sketch(fitted.calibration), matrices[0])
    assert abs(float(found.log_volume) - score(matrices[0])) < 3
    with pytest.raises(ValueError, match=r"uses the covariates \['norms'\], the Jacobian has \[\]"):
        Sketch(fitted.calibration)(operator(matrices[0]))


def test_images_unlike_the_calibrations_are_flagged(matrices, samples):
    estimator = Sketch(samples.fit(8).calibration)
    flags = [bool(run(estimator, m).flagged) for m in matrices[50:]]
    assert np.mean(flags) < 0.2
    assert bool(run(estimator, 100 * matrices[0]).flagged)
    steep = matrix_with_spectrum(np.exp(-8 * np.linspace(0, 1, K)), D).astype(np.float32)
    assert bool(run(estimator, steep).flagged)
    broken = run(estimator, matrices[0] * jnp.nan)
    assert bool(broken.flagged)
    assert not np.isfinite(float(broken.log_volume))


def test_what_is_new_in_a_few_numbers_is_not_hidden_by_many():
    """Thousands of coordinates of tokens are new in every image; sizes are where it is processed
    otherwise."""
    rng = np.random.default_rng(0)

    def images(count, norm=0.0):
        tokens = rng.normal(size=(count, 600)).astype(np.float32)
        return (
            rng.uniform(0.5, 2, count),
            rng.normal(norm, 1, (count, 3)).astype(np.float32),
            tokens,
        )

    sizes, norms, tokens = images(200)
    covariates = {"norms": norms, "tokens": tokens}
    measured = Measurement(4 * np.log(sizes), sizes[:, None, None] * np.eye(2), covariates)
    calibration = SketchSamples(np.eye(2, 4), measured, rank=4).fit(2).calibration

    @jax.jit
    @jax.vmap
    def flagged(size, norms, tokens):
        covariates = {"norms": norms, "tokens": tokens}
        scaled = jacobian(lambda x: size * x, jnp.zeros(4), covariates=lambda: covariates)
        return Sketch(calibration)(scaled).flagged

    # 2 % are meant to be: with the chance of 400 images, and of the limit itself.
    assert 0 < np.mean(flagged(*images(400))) < 0.05
    assert np.mean(flagged(*images(50, norm=6.0))) == 1


def test_of_few_images_the_farthest_is_the_limit():
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101))
    assert _conformal_limit(values) == 99  # Of 101 with a new one, 2 are beyond.
    assert _conformal_limit(values[values <= 49]) == 49


def test_a_batch_gives_what_single_images_do(matrices, samples):
    estimator = Sketch(samples.fit(8).calibration)
    stacked = jnp.stack(matrices[50:53])
    batched = jax.jit(jax.vmap(lambda m: estimator(operator(m))))(stacked)
    for i in range(3):
        single = run(estimator, matrices[50 + i])
        assert float(batched.log_volume[i]) == pytest.approx(float(single.log_volume), abs=1e-3)


def test_the_calibration_is_an_argument_of_one_program(samples, matrices):
    traced = 0

    @jax.jit
    def run(sketch, m):
        nonlocal traced
        traced += 1
        return sketch(operator(m)).log_volume

    shifted = samples.measured._replace(score=samples.measured.score + 5)
    other = SketchSamples(samples.cotangents, shifted, K)
    one = run(Sketch(samples.fit(8).calibration), matrices[60])
    two = run(Sketch(other.fit(8).calibration), matrices[60])
    assert traced == 1
    assert float(two - one) == pytest.approx(5, abs=1e-3)


def test_cost_is_the_number_of_cotangents(samples):
    assert Sketch(samples.fit(8).calibration).cost(K, D) == (8.0, 0.0)


def test_errors(samples, matrices):
    with pytest.raises(ValueError, match="`count` must be at most 12, as many were measured"):
        samples.fit(13)
    with pytest.raises(ValueError, match=r"`count` must be a whole number of at least 1, got 0"):
        samples.fit(0)
    with pytest.raises(ValueError, match=r"`blocks` must be of \('spectrum',\), got \['depth'\]"):
        samples.fit(4, ["depth"])
    with pytest.raises(ValueError, match="at least 16 images, got 0"):
        SketchSamples.measure([], cotangents=4)
    few = Measurement(np.ones(4), np.ones((4, 2, 2)), {})
    with pytest.raises(ValueError, match="at least 16 images, got 4"):
        SketchSamples(samples.cotangents, few, K)
    bad = samples.measured._replace(score=np.full(50, np.inf))
    with pytest.raises(ValueError, match="50 of 50 calibration scores are not finite"):
        SketchSamples(samples.cotangents, bad, K)
    broken = [operator(m) for m in (*matrices[:19], jnp.nan * matrices[0])]
    with pytest.raises(ValueError, match="1 of 20 calibration scores are not finite"):
        SketchSamples.measure(broken, cotangents=4)
    with pytest.raises(ValueError, match="at least 16 images, got 0 that have a finite score"):
        SketchSamples.measure(broken[-1:], cotangents=4)
    with pytest.raises(ValueError, match="for embeddings of K = 24, got K = 23"):
        Sketch(samples.fit(4).calibration)(operator(matrices[0][:23]))
    with pytest.raises(ValueError, match="a sketch needs D of at least 24"):
        measure(operator(matrices[0][:, :10]))
