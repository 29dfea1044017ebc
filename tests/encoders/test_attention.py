"""Attention's own derivatives against autodiff of the formula, in every mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jepa_jax.encoders.attention import attention

pytestmark = pytest.mark.usefixtures("x64")


def plain(q, k, v):
    return jax.nn.softmax(q @ k.mT, axis=-1) @ v


@pytest.fixture(params=[1, 5], ids=["one query", "as many as keys"])
def inputs(request, x64):
    shapes = (2, request.param, 3), (2, 5, 3), (2, 5, 3)
    keys = jax.random.split(jax.random.key(0), 3)
    return tuple(jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))


def close(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), ours, theirs)


def same(transform, *args):
    both = jax.jit(lambda *args: [transform(f)(*args) for f in (attention, plain)])
    ours, theirs = both(*args)
    close(ours, theirs)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit, jax.checkpoint])
def test_value(inputs, transform):
    close(transform(attention)(*inputs), plain(*inputs))


@pytest.mark.parametrize("jacobian", [jax.jacrev, jax.jacfwd])
def test_jacobian(inputs, jacobian):
    argnums = [0, 1, 2, (0, 1, 2), (0, 2)]
    found = jax.jit(lambda *x: [jacobian(attention, which)(*x) for which in argnums])(*inputs)
    expected = jax.jit(jacobian(plain, (0, 1, 2)))(*inputs)
    for which, ours in zip(argnums, found, strict=True):
        alone = isinstance(which, int)
        close(ours, expected[which] if alone else tuple(expected[i] for i in which))


def test_many_cotangents_of_many_inputs(inputs):
    q, k, v = inputs
    qs = jnp.stack([q, 2 * q, -q])
    cotangents = jax.random.normal(jax.random.key(1), (3, 4, *q.shape))

    def pulled(f):
        def one(q, cotangents):
            return jax.vmap(jax.vjp(f, q, k, v)[1])(cotangents)

        return jax.vmap(one)

    same(pulled, qs, cotangents)
    same(
        lambda f: lambda *a: jax.lax.map(lambda x: pulled(f)(*x), tuple(x[:, None] for x in a)),
        qs,
        cotangents,
    )


def test_a_cotangent_for_each_input(inputs):
    q, k, v = inputs
    qs = jnp.stack([q, 2 * q])
    cotangents = jax.random.normal(jax.random.key(1), qs.shape)
    same(lambda f: jax.vmap(lambda q, g: jax.vjp(f, q, k, v)[1](g)), qs, cotangents)


def test_rows_from_the_transposed_linear_map(inputs):
    q, k, v = inputs
    cotangents = jax.random.normal(jax.random.key(1), (4, *q.shape))

    def rows(f):
        def of(q):
            linear = jax.linearize(lambda q: f(q, q[:, :1] * k, v), q)[1]
            return jax.vmap(jax.linear_transpose(linear, q))(cotangents)

        return of

    same(rows, q)


def test_second_derivatives(inputs):
    same(lambda f: jax.hessian(lambda *x: jnp.sin(f(*x)).sum(), argnums=(0, 1, 2)), *inputs)
    same(lambda f: jax.jacrev(jax.jacrev(lambda *x: jnp.sin(f(*x)).sum())), *inputs)


def test_no_array_of_cotangents_by_tokens_squared_is_transposed():
    heads, tokens, depth, count = 2, 33, 4, 8
    q, k, v = jnp.ones((3, heads, tokens, depth), jnp.float32)

    def pulled(q, cotangents):
        return jax.vmap(jax.vjp(attention, q, k, v)[1])(cotangents)

    lowered = jax.jit(pulled).lower(q, jnp.ones((count, heads, tokens, depth), jnp.float32))
    transposes = [t for t in lowered.as_text().splitlines() if "stablehlo.transpose" in t]
    assert transposes  # Of the arrays of (tokens, depth), there are some.
    large = [t for t in transposes if f"x{tokens}x{tokens}x" in t and f"{count}x" in t]
    assert not large, large
