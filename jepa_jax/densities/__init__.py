"""Densities that are known in closed form: what a trained encoder's score is held against.

Each has `shape`, the shape of one point; `sample(key, n)`; and `log_prob(x)`, normalised, in nats.
All are pytrees of arrays: arguments of a jitted function, not constants of it. One kind a file;
`named.py` has those that the benchmarks and the tests share, by name.
"""

from jepa_jax.densities.density import Density
from jepa_jax.densities.images import Images
from jepa_jax.densities.mixture import Mixture
from jepa_jax.densities.named import load_density
from jepa_jax.densities.product import Product
from jepa_jax.densities.spiral import Spiral

__all__ = ["Density", "Images", "Mixture", "Product", "Spiral", "load_density"]
