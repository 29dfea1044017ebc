"""From a score to a log-density: the second term of the change of variables."""

import math
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

DensityForm = Literal["score", "corrected"]


def log_density(
    log_volume: Float[Array | np.ndarray, "*b"],
    embedding: Float[Array | np.ndarray, "*b k"],
    density: DensityForm = "corrected",
) -> Float[Array, "*b"]:
    """The log-density, nats, of inputs with this score and this embedding.

    "score": the score sum_k log sigma_k(J_f(x)) as it is, the log-density up to a constant where
    the embeddings are uniform on a sphere.
    "corrected": sum_k log sigma_k(J_f(x)) - |f(x)|^2 / 2 - K/2 log 2 pi, the log-density where the
    embeddings are N(0, I).

    Derivation. Let f: R^D -> R^K push p forward to q. By the coarea formula, at points of full rank

        p(x) = q(f(x)) prod_k sigma_k(J_f(x)) p(x | f(x)),

    p(x | z) the density of x within its fibre f^-1(z). Taking logarithms, case by case:

    - K = D, f injective: the fibre is one point, and log p(x) = sum log sigma_k + log N(f(x); 0, I)
      is exact and normalised. For this "corrected" is meant. Where f folds, m inputs share an
      embedding, and the right-hand side is too large by -log p(x | z): log m if they are equally
      likely.
    - A sphere, K = D + 1, f injective: q is one over the area, a constant. The score is enough.
    - K < D: what both forms leave out is log p(x | z), the spread of the inputs that the encoder
      cannot tell apart. They rank images rightly so far as that varies less.
    - K > D: the embeddings lie on a D-dimensional surface, whose density with respect to its own
      volume is not N(0, I). "score" assumes that it is constant; "corrected" follows |z|^2.

    For N(0, I) embeddings the second term has standard deviation sqrt(K / 2) over the data. That
    grows with K, but more slowly than the score's, a sum of K logarithms that vary together: so
    "score" alone is what the paper uses for large K. `benchmarks/density/` measures both.

    Raises `ValueError` on another `density`, or where the shapes do not fit.

    Cost: K operations. Source: the change of variables; arXiv 2510.05949, section 3.

    >>> import jax.numpy as jnp
    >>> from jepa_jax import Exact, jacobian
    >>> from jepa_jax.scoring import log_density
    >>> J = jacobian(lambda x: x / 2.0, jnp.array([2.0]))  # x ~ N(0, 4) to N(0, 1)
    >>> estimate = Exact()(J)
    >>> found = log_density(estimate.log_volume, J.value, "corrected")
    >>> round(float(found), 4)  # log N(2; 0, 4) = -log 2 - 1/2 - log(2 pi) / 2
    -2.1121
    """
    if density not in get_args(DensityForm):
        raise ValueError(f"`density` must be one of {get_args(DensityForm)}, got {density!r}")
    volume, z = jnp.asarray(log_volume), jnp.asarray(embedding)
    if z.shape[:-1] != volume.shape:
        raise ValueError(
            f"`embedding` must have shape {(*volume.shape, 'K')}, one for each score, got {z.shape}"
        )
    if density == "score":
        return volume
    normal = -0.5 * jnp.square(z).sum(-1) - z.shape[-1] / 2 * math.log(2 * math.pi)
    return volume + normal.astype(volume.dtype)
