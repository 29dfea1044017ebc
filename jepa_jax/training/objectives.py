"""Training objectives of joint-embedding encoders: pure functions of embeddings."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def invariance(embeddings: Float[Array, "v n k"]) -> Float[Array, ""]:
    """Mean squared distance of an input's V views to their mean, per coordinate.

    1/(V N K) sum_{v,n,k} (z_vnk - mean_v z_vnk)^2, for embeddings (V, N, K) of V views of N
    inputs; 0 for one view.

    Cost: O(V N K). Source: the prediction loss of LeJEPA, arXiv 2511.08544, sec. 5.1.
    """
    return jnp.square(embeddings - embeddings.mean(0, keepdims=True)).mean()


def sigreg(
    embeddings: Float[Array, "n k"],
    key: PRNGKeyArray,
    *,
    slices: int = 256,
    points: int = 17,
    limit: float = 5.0,
) -> Float[Array, ""]:
    """How far N embeddings (N, K) are from a sample of N(0, I): an average over random slices.

    With `slices` directions a uniform on the unit sphere of R^K, drawn by `key`,

        mean_a N integral_{-limit}^{limit} |1/N sum_n e^{i t a.z_n} - e^{-t^2/2}|^2 e^{-t^2/2} dt,

    the Epps-Pulley statistic against N(0, 1), its integral by the trapezoid rule on `points` values
    of t. Its mean over true N(0, I) samples is sqrt(2 pi) - sqrt(2 pi / 3) = 1.06 for every N and
    K, the floor of training; embeddings collapsed to 0 have 0.41 N. Points many units away have no
    gradient, so training starts near unit scale.

    Raises `ValueError` where `points` is not an odd number of at least 3, or `slices` is below 1.

    Cost: one N x K x `slices` product and N * `slices` * (`points` + 1) / 2 sines and cosines,
    all held in memory. Source: SIGReg, arXiv 2511.08544, sec. 4 and Algorithm 1; Epps and Pulley,
    Biometrika 70 (1983).
    """
    if points < 3 or points % 2 == 0:
        raise ValueError(f"`points` must be odd and at least 3, got {points}")
    if slices < 1:
        raise ValueError(f"`slices` must be at least 1, got {slices}")
    n, k = embeddings.shape
    directions = jax.random.normal(key, (k, slices), embeddings.dtype)
    directions /= jnp.linalg.norm(directions, axis=0, keepdims=True)
    # The integrand is even in t: half of the trapezoid rule's points give all of its sum.
    t = jnp.linspace(0, limit, points // 2 + 1, dtype=embeddings.dtype)
    angles = t[:, None, None] * (embeddings @ directions)[None]
    normal = jnp.exp(-jnp.square(t) / 2)
    real, imaginary = jnp.cos(angles).mean(1), jnp.sin(angles).mean(1)
    gap = jnp.square(real - normal[:, None]) + jnp.square(imaginary)
    weighted = gap * normal[:, None]
    return n * 2 * jax.scipy.integrate.trapezoid(weighted, dx=limit / (points // 2), axis=0).mean()
