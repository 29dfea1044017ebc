"""Random probes drawn until the error of their mean is small enough: each image as many as needed.

A loop of `jax.lax.while_loop`: under `vmap` an image that is done keeps its numbers while others of
its batch go on.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

MOST_PROBES = 256


class Round(NamedTuple):
    """What one round of probes leaves: their `values`, the mean of which is sought; `bias_bound`;
    how many singular values of zero were seen; and the `products` that it took."""

    values: Float[Array, " p"]
    bias_bound: Float[Array, ""]
    zeros: Int[Array, ""]
    products: Int[Array, ""]


class Rounds(NamedTuple):
    """All rounds: the `mean` and its `std_error`, the mean of the bounds, the most zeros that one
    saw, and all products."""

    mean: Float[Array, ""]
    std_error: Float[Array, ""]
    bias_bound: Float[Array, ""]
    zeros: Int[Array, ""]
    products: Int[Array, ""]


class _State(NamedTuple):
    rounds: Int[Array, ""]
    mean: Float[Array, ""]
    squares: Float[Array, ""]  # Of the values' distances from the mean.
    bias_bound: Float[Array, ""]
    zeros: Int[Array, ""]
    products: Int[Array, ""]


def until(
    draw_round: Callable[[PRNGKeyArray], Round],
    key: PRNGKeyArray,
    probes: int,
    tolerance: float,
    most: int = MOST_PROBES,
) -> Rounds:
    """Rounds of so many `probes` until the standard error of the mean of all values is at most
    `tolerance`, or there are `most` probes.

    Of few values the standard deviation is uncertain, and whoever stops where it looks small stops
    at what is too small. `std_error` is therefore the usual one times t / 1.96, t the two-sided
    95 % point of Student's distribution: 1.96 of it hold as many of the errors. A round that is not
    finite ends it.
    """
    dtype = jax.eval_shape(draw_round, key).values.dtype
    factors = jnp.asarray(_student(probes, most // probes), dtype)

    def std_error(state: _State) -> Array:
        count = (state.rounds * probes).astype(dtype)
        variance = state.squares / jnp.maximum(count - 1, 1)
        return factors[state.rounds] * jnp.sqrt(variance / count)

    def unfinished(state: _State) -> Array:
        return (state.rounds < most // probes) & (std_error(state) > tolerance)

    def another(state: _State) -> _State:
        found = draw_round(jax.random.fold_in(key, state.rounds))
        return _merged(state, found, probes)

    zero = jnp.zeros((), jnp.int32)
    nothing = jnp.zeros((), dtype)
    begun = another(_State(zero, nothing, nothing, nothing, zero, zero))
    state = jax.lax.while_loop(unfinished, another, begun)
    return Rounds(state.mean, std_error(state), state.bias_bound, state.zeros, state.products)


def _merged(state: _State, found: Round, probes: int) -> _State:
    """Mean and squares of the values so far and of a round's (Chan, Golub, LeVeque, 1983)."""
    rounds = state.rounds + 1
    mean = found.values.mean()
    share = 1 / rounds.astype(mean.dtype)
    apart = mean - state.mean
    between = jnp.square(apart) * probes * (1 - share)
    return _State(
        rounds=rounds,
        mean=state.mean + apart * share,
        squares=state.squares + jnp.square(found.values - mean).sum() + between,
        bias_bound=state.bias_bound + (found.bias_bound - state.bias_bound) * share,
        zeros=jnp.maximum(state.zeros, found.zeros),
        products=state.products + found.products,
    )


@functools.cache
def _student(probes: int, rounds: int) -> np.ndarray:
    """t / 1.96 after 0, 1, ... rounds; 0 rounds have none."""
    from scipy.stats import norm, t

    degrees = np.maximum(probes * np.arange(rounds + 1) - 1, 1)
    return (t.ppf(0.975, degrees) / norm.ppf(0.975)).astype(np.float32)
