"""Training objectives of joint-embedding encoders: pure functions of embeddings.

Each is a statistic of one batch of embeddings (N, K), or of V views of it (V, N, K), and is to be
made small. `jepa_jax.training.objective` weighs and adds them.
"""

import math

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
    bandwidth: float = 1.0,
) -> Float[Array, ""]:
    """How far N embeddings (N, K) are from a sample of N(0, I): an average over random slices.

    With `slices` directions a uniform on the unit sphere of R^K, drawn by `key`,

        mean_a N integral_{-limit}^{limit} |1/N sum_n e^{i t a.z_n} - e^{-t^2/2}|^2 w(t) dt,

    w(t) = e^{-t^2/(2 bandwidth^2)}: the Epps-Pulley statistic against N(0, 1), its integral by the
    trapezoid rule on `points` values of t. Two points of a slice are told apart from about
    1 / `bandwidth` on; a wider one wants a `limit` of 3 to 4 bandwidths. Its mean over true N(0, I)
    samples, the floor of training for every N and K, is integral (1 - e^{-t^2}) w(t) dt
    = sqrt(2 pi) b (1 - 1/sqrt(1 + 2 b^2)), which is 1.06 at bandwidth 1; embeddings collapsed to 0
    have 0.41 N there. Points many units away have no gradient, so training starts near unit scale.

    Raises `ValueError` where `points` is not an odd number of at least 3, `slices` is below 1 or
    `bandwidth` is not positive.

    Cost: one N x K x `slices` product and N * `slices` * (`points` + 1) / 2 sines and cosines,
    all held in memory. Source: SIGReg, arXiv 2511.08544, sec. 4 and Algorithm 1; Epps and Pulley,
    Biometrika 70 (1983).
    """
    if points < 3 or points % 2 == 0:
        raise ValueError(f"`points` must be odd and at least 3, got {points}")
    if slices < 1:
        raise ValueError(f"`slices` must be at least 1, got {slices}")
    if bandwidth <= 0:
        raise ValueError(f"`bandwidth` must be positive, got {bandwidth}")
    n, k = embeddings.shape
    directions = jax.random.normal(key, (k, slices), embeddings.dtype)
    directions /= jnp.linalg.norm(directions, axis=0, keepdims=True)
    # The integrand is even in t: half of the trapezoid rule's points give all of its sum.
    t = jnp.linspace(0, limit, points // 2 + 1, dtype=embeddings.dtype)
    angles = t[:, None, None] * (embeddings @ directions)[None]
    normal = jnp.exp(-jnp.square(t) / 2)
    real, imaginary = jnp.cos(angles).mean(1), jnp.sin(angles).mean(1)
    gap = jnp.square(real - normal[:, None]) + jnp.square(imaginary)
    # Not a power of `normal`: at bandwidth 1 the weight is the same number to the bit.
    weight = jnp.exp(-jnp.square(t / bandwidth) / 2) if bandwidth != 1 else normal
    weighted = gap * weight[:, None]
    return n * 2 * jax.scipy.integrate.trapezoid(weighted, dx=limit / (points // 2), axis=0).mean()


def vicreg(
    embeddings: Float[Array, "n k"], *, variance: float = 25.0, covariance: float = 1.0, eps=1e-4
) -> Float[Array, ""]:
    """The two terms of VICReg that keep N embeddings (N, K) from collapse.

    variance * 1/K sum_k max(0, 1 - sqrt(Var z_k + eps)) + covariance * 1/K sum_{k != l} C_kl^2,
    with the sample covariance C. It is zero where every coordinate has variance of at least
    1 - eps and all are uncorrelated: it says nothing on the shape of the distribution, and so
    nothing on the density that the Jacobian holds: clusters laid on single points satisfy it. The
    paper's invariance term is `invariance` of weight 100 K, for two views.

    Cost: N K^2. Source: Bardes, Ponce, LeCun, VICReg, arXiv 2105.04906, eqs. 1 to 4.

    >>> import jax.numpy as jnp
    >>> from jepa_jax.training.objectives import vicreg
    >>> collapsed = vicreg(jnp.zeros((8, 2)), eps=0.0)  # 25 max(0, 1 - 0)
    >>> float(collapsed)
    25.0
    """
    n, k = embeddings.shape
    centred = embeddings - embeddings.mean(0, keepdims=True)
    matrix = centred.T @ centred / (n - 1)
    spread = jnp.sqrt(jnp.diagonal(matrix) + eps)
    off = jnp.square(matrix).sum() - jnp.square(jnp.diagonal(matrix)).sum()
    return variance * jax.nn.relu(1 - spread).mean() + covariance * off / k


def uniformity(embeddings: Float[Array, "n k"], *, sharpness: float = 2.0) -> Float[Array, ""]:
    """How far N unit vectors (N, K) are from a uniform sample of the sphere.

    log of the mean over pairs i != j of exp(-t |z_i - z_j|^2), t = `sharpness`. Its minimum over
    all distributions is that of the uniform one, `uniformity_floor(K, t)`; the mean itself (not its
    log) is an unbiased estimate from any number of points. Structure smaller than about
    1 / sqrt(2 t) is not seen. Vectors that are not of unit length are not refused: for those it is
    a repulsion without a bound.

    Raises `ValueError` on a `sharpness` that is not positive, or fewer than two points.

    Cost: N^2 K operations and N^2 numbers in memory. Source: Wang and Isola, Understanding
    Contrastive Representation Learning, arXiv 2005.10242, eq. 2 and prop. 1.

    >>> import jax.numpy as jnp
    >>> from jepa_jax.training.objectives import uniformity
    >>> poles = jnp.array([[0.0, 1.0], [0.0, -1.0]])
    >>> round(float(uniformity(poles, sharpness=2.0)), 2)  # -2 * 2^2
    -8.0
    """
    if sharpness <= 0:
        raise ValueError(f"`sharpness` must be positive, got {sharpness}")
    n = len(embeddings)
    if n < 2:
        raise ValueError(f"`embeddings` must have at least 2 points, got {n}")
    squares = jnp.square(embeddings).sum(1)
    # |x - y|^2 = |x|^2 + |y|^2 - 2 x.y: one product, no (N, N, K) array.
    distances = squares[:, None] + squares[None] - 2 * (embeddings @ embeddings.T)
    kernel = jnp.exp(-sharpness * distances)
    pairs = kernel.sum() - jnp.diagonal(kernel).sum()
    return jnp.log(pairs / (n * (n - 1)))


def uniformity_floor(k: int, sharpness: float = 2.0) -> float:
    """`uniformity` of the uniform distribution on the unit sphere of R^K.

    log of e^{-2t} Gamma(nu + 1) (1/t)^nu I_nu(2t), nu = K/2 - 1: the mean of e^{2t z.z'} is that of
    e^{2t u} over one coordinate u of a uniform unit vector.

    >>> from jepa_jax.training.objectives import uniformity_floor
    >>> round(uniformity_floor(3, 2.0), 4)  # log((1 - e^-8) / 8)
    -2.0798
    """
    from scipy.special import gammaln, ive

    nu = k / 2 - 1
    # ive(nu, z) is e^-z I_nu(z): the factor e^{-2t} of the formula.
    return float(gammaln(nu + 1) - nu * math.log(sharpness) + math.log(ive(nu, 2 * sharpness)))
