"""The derivative of every score, against finite differences of an exact score in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax import Exact, Hutchinson, Lanczos, Sketch, SketchSamples, XTrace, jacobian

M = np.random.default_rng(0).normal(size=(6, 10))
X = np.random.default_rng(1).normal(size=10)


def curved(x):
    """A function whose Jacobian moves with x."""
    z = jnp.asarray(M, x.dtype) @ x
    return jnp.sin(z) + 0.1 * jnp.square(z)


def score(estimator, x, chunk=None):
    return estimator(jacobian(curved, x, chunk=chunk), jax.random.key(0)).log_volume


@pytest.fixture(scope="module")
def expected():
    """d/dx of 1/2 logdet J J^T: central differences, exact to 1e-7."""

    def volume(x):
        z = M @ x
        j = (np.cos(z) + 0.2 * z)[:, None] * M
        return np.linalg.slogdet(j @ j.T)[1] / 2

    step = 1e-5
    return np.array(
        [(volume(X + step * e) - volume(X - step * e)) / (2 * step) for e in np.eye(10)]
    )


@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.parametrize(
    "estimator",
    [
        Exact(),
        Exact(factor="gram", spectrum=True),
        Exact(factor="qr"),
        Exact(factor="svd"),
        Exact(rank="clip"),
    ],
    ids=lambda e: f"{e.factor}-{e.rank}",
)
def test_exact(estimator, chunk, expected):
    if chunk and estimator != Exact():
        pytest.skip("chunks are the operator's: one estimator shows them")
    found = jax.jit(jax.grad(lambda x: score(estimator, x, chunk)))(jnp.asarray(X, jnp.float32))
    # Components of up to 10, in float32.
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_forward_mode_and_batches(expected):
    x = jnp.asarray(X, jnp.float32)
    direction = jnp.asarray(M[0], jnp.float32)
    change = jax.jit(lambda x, t: jax.jvp(lambda x: score(Exact(), x), (x,), (t,))[1])
    assert float(change(x, direction)) == pytest.approx(expected @ M[0], abs=1e-3)
    total = lambda xs: jax.vmap(lambda x: score(Exact(), x))(xs).sum()
    both = jax.jit(jax.grad(total))(jnp.stack([x, 2 * x]))
    np.testing.assert_allclose(both[0], expected, atol=1e-4)


@pytest.mark.parametrize(
    "estimator",
    [
        Lanczos(steps=3, probes=3),
        Lanczos(steps=3, probes=2, rank="clip"),
        # The interval is held fixed: its part in the estimate falls with the degree.
        Hutchinson(degree=80, probes=3, interval_steps=6, lower_margin=1.5),
        XTrace(steps=4, products=6),
    ],
    ids=lambda e: f"{type(e).__name__}-{e.rank}",
)
def test_of_a_random_method_it_is_that_of_the_estimate(estimator):
    run = jax.jit(lambda x: score(estimator, x))
    x, step = jnp.asarray(X, jnp.float32), 2e-3
    differences = [float(run(x + step * e) - run(x - step * e)) / (2 * step) for e in jnp.eye(10)]
    found = jax.jit(jax.grad(lambda x: score(estimator, x)))(x)
    # Of up to 15: differences of float32 scores over 4e-3, and their own second order.
    np.testing.assert_allclose(found, differences, atol=8e-2)
    total = lambda xs: jax.vmap(lambda x: score(estimator, x))(xs).sum()
    both = jax.jit(jax.grad(total))(jnp.stack([2 * x, x]))
    np.testing.assert_allclose(both[1], found, rtol=1e-3, atol=1e-3)


def test_of_a_sketch():
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(40, 8, 50)) * np.linspace(0.5, 2, 40)[:, None, None]
    matrices = jnp.asarray(matrices, jnp.float32)
    linear = lambda m: jacobian(lambda x: m @ x, jnp.zeros(50))
    samples = SketchSamples.measure([linear(m) for m in matrices], cotangents=4)
    sketch = Sketch(samples.fit(3).calibration)
    run = jax.jit(lambda m: sketch(linear(m)).log_volume)
    found = jax.jit(jax.grad(lambda m: sketch(linear(m)).log_volume))(matrices[3])
    for place in ((2, 7), (5, 30)):
        change = jnp.zeros((8, 50)).at[place].set(1e-2)
        difference = float(run(matrices[3] + change) - run(matrices[3] - change)) / 2e-2
        assert float(found[place]) == pytest.approx(difference, abs=2e-3)
