"""The known densities that the benchmarks and the tests share, by name."""

import numpy as np

from jepa_jax.densities.density import Density
from jepa_jax.densities.images import Images
from jepa_jax.densities.mixture import Mixture
from jepa_jax.densities.product import Product
from jepa_jax.densities.spiral import Spiral


def isotropic() -> Mixture:
    """Three equal round Gaussians in the plane: standard deviation .5, 1.5 from the origin."""
    return Mixture.of(np.ones(3), _corners(1.5), np.full(3, 0.25))


def unbalanced() -> Mixture:
    """Three round Gaussians of weights .6, .3, .1 and standard deviations .7, .5, .35."""
    return Mixture.of([0.6, 0.3, 0.1], _corners(1.5), np.square([0.7, 0.5, 0.35]))


def correlated() -> Mixture:
    """Three Gaussians with axes 3 to 1 in length, each turned another way."""
    angles = np.arange(3) * np.pi / 3
    turns = np.array([[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angles])
    covariances = turns @ np.diag(np.square([0.75, 0.25])) @ turns.transpose(0, 2, 1)
    return Mixture.of(np.ones(3), _corners(1.2), covariances)


def mixture(dimension: int, components: int = 8, radius: float = 4.0) -> Mixture:
    """Round Gaussians of standard deviations .8 to 1.25 (geometric), at random directions.

    Equal weights, means `radius` from the origin; the same mixture at every call.
    """
    directions = np.random.default_rng(dimension).normal(size=(components, dimension))
    means = radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return Mixture.of(np.ones(components), means, np.square(np.geomspace(0.8, 1.25, components)))


def product(dimension: int = 8) -> Product:
    """Independent coordinates, each of two unequal peaks."""
    peaks = Mixture.of([0.7, 0.3], [[-1.0], [1.5]], [0.25, 0.16])
    return Product((peaks,) * dimension)


def images(side: int = 16, components: int = 4) -> Images:
    """Soft blobs and waves: `components` kinds of image, told apart by their lowest frequencies.

    Every cosine coefficient has standard deviation 2 / (1 + |k|)^1.5, as natural images fall off;
    each component has its own means of the 15 lowest ones.
    """
    k = np.hypot(*np.meshgrid(np.arange(side), np.arange(side))).ravel()
    spread = 2 / (1 + k) ** 1.5
    lowest = np.argsort(k, kind="stable")[1:16]
    means = np.zeros((components, side * side))
    rng = np.random.default_rng(side)
    means[:, lowest] = 2 * spread[lowest] * rng.normal(size=(components, len(lowest)))
    covariances = np.broadcast_to(np.diag(spread**2), (components, side**2, side**2))
    return Images(Mixture.of(np.ones(components), means, covariances))


def _corners(radius: float) -> np.ndarray:
    """The corners of an equilateral triangle."""
    angles = 2 * np.pi * np.arange(3) / 3
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


DENSITIES = {
    "isotropic": isotropic,
    "unbalanced": unbalanced,
    "correlated": correlated,
    "mixture": mixture,
    "spiral": Spiral,
    "product": product,
    "images": images,
}


def load_density(name: str, **settings) -> Density:
    """The reference density `name` with its `settings`; `ValueError` lists the known names.

    >>> from jepa_jax.densities.named import load_density
    >>> load_density("mixture", dimension=32).shape
    (32,)
    """
    if name not in DENSITIES:
        raise ValueError(f"`density` must be one of {', '.join(DENSITIES)}; got {name!r}")
    return DENSITIES[name](**settings)
