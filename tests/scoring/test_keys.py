"""Keys: of what an image is called, the same whatever JAX's own random numbers are set to."""

import jax
import numpy as np
import pytest
from jax.random import key_data

from jepa_jax.scoring.keys import keys_of


def test_keys_depend_on_the_name_alone():
    a = key_data(keys_of(0, ["x", "y", "x"]))
    assert (a[0] == a[2]).all()
    assert (a[0] != a[1]).any()
    assert (key_data(keys_of(1, ["x"]))[0] != a[0]).any()


@pytest.mark.parametrize("generator", ["rbg", "unsafe_rbg", "threefry2x32"])
def test_random_numbers_do_not_depend_on_the_generator_set(generator):
    draw = jax.jit(jax.vmap(lambda key: jax.random.rademacher(jax.random.split(key)[1], (8,))))
    names = ["a.png", "b.png"]
    expected = np.asarray(draw(keys_of(0, names)))
    with jax.default_prng_impl(generator):
        keys = keys_of(0, names)
        found = np.asarray(draw(keys))
    assert jax.random.key_impl(keys) == "threefry2x32"
    np.testing.assert_array_equal(found, expected)
