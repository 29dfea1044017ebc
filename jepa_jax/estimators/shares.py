"""Where a log-volume comes from: the share of each patch of an image."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jepa_jax.estimators import settings
from jepa_jax.estimators import volume as volumes
from jepa_jax.estimators.exact import Exact
from jepa_jax.jacobian_operator import Jacobian


def patch_shares(
    jacobian: Jacobian,
    patch: int = 1,
    *,
    cotangents: Float[Array | np.ndarray, "p k"] | None = None,
) -> Float[Array, "rows columns"]:
    """The share of each `patch` x `patch` square of the input (H, W, ...) in the log-volume.

    For the patch p, tr(G^-1 J_p J_p^T): J_p are J's columns of its pixels and channels, without the
    null directions, and G = J J^T. From 0 to the number of these columns; all together the rank,
    min(K - R, D). It is the derivative of the score in the log of the patch's contrast as J sees
    it: were J_p scaled by 1 + e, the score would rise by e times the share. Without J_p it would
    be lower by at least half of the share, and by -1/2 log det(I - J_p^T G^-1 J_p) in all. J itself
    depends on the patch too, which neither says: what masking a patch does to the score goes with
    its share hardly at all (benchmarks/patches/README.md).

    `patch=1` gives the share of each pixel; of `jepa_jax.encoders.encoder_jacobian.jacobian_of`,
    whose input has a vector for each of the encoder's patches, that of each such patch. With
    `cotangents` Omega (p, K), orthonormal rows, it is an estimate from the p rows Omega J alone:
    tr((R R^T)^-1 R_p R_p^T), R = Omega J, times rank / p. It leans towards the directions of the
    largest singular values.

    Raises `ValueError` on a `patch` that does not divide the sides, and on an input without two.
    NaN where the Jacobian has a singular value of zero.

    Cost: the VJPs of `Exact`, or p of them, and 2 K^2 D operations more than these take.

    Source: the leverage scores of J's columns (Drineas, Magdon-Ismail, Mahoney, Woodruff, JMLR 13,
    2012, eq. 1), summed over patches.

    >>> import jax.numpy as jnp
    >>> from jepa_jax import jacobian
    >>> from jepa_jax.estimators import patch_shares
    >>> def f(x):  # One row of four pixels, the last of which nothing sees.
    ...     return jnp.stack([x[0, 0], 3 * x[0, 1] + 4 * x[0, 2]])
    >>> shares = patch_shares(jacobian(f, jnp.zeros((1, 4))))
    >>> [round(float(share), 4) for share in shares[0]]  # 3^2 and 4^2 of 5^2
    [1.0, 0.36, 0.64, 0.0]
    """
    settings.check_at_least("patch", patch, 1)
    shape = jacobian.input_shape
    if len(shape) < 2 or shape[0] % patch or shape[1] % patch:
        raise ValueError(
            f"`patch` must divide the first two sides of the Jacobian's input {shape}, got {patch}"
        )
    if cotangents is None:
        shares = Exact(shares=True)(jacobian).shares
        assert shares is not None
    else:
        rank = min(jacobian.live, jacobian.shape[1])
        shares = shares_of_rows(jacobian.rows(jnp.asarray(cotangents)), rank)
    return pooled(shares, shape, patch)


def shares_of_rows(rows: Float[Array, "p d"], rank: int) -> Float[Array, " d"]:
    """Every input coordinate's share, estimated from p rows; `rank` in all.

    Raises `ValueError` where there are more rows than columns.
    """
    count, width = rows.shape
    if count > width:
        raise ValueError(f"shares need no more rows than input coordinates, {width}, got {count}")
    leverages = volumes.volume(rows, leverages=True).leverages
    assert leverages is not None
    return leverages * (rank / count)


def pooled(
    shares: Float[Array, " d"], shape: tuple[int, ...], patch: int = 1
) -> Float[Array, "rows columns"]:
    """The sums over patches of the shares of an input of this shape (H, W, ...)."""
    height, width = shape[:2]
    blocks = shares.reshape(height // patch, patch, width // patch, patch, -1)
    return jnp.sum(blocks, axis=(1, 3, 4))
