"""A noisy spiral in the plane."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.densities.density import pytree

_LOG_2PI = math.log(2 * math.pi)


@functools.partial(pytree, data_fields=["start", "pitch", "turn", "spread", "width"])
@dataclasses.dataclass(frozen=True, eq=False)
class Spiral:
    """A noisy Archimedean spiral in the plane.

    x = r (cos t, sin t), the angle t ~ N(turn, spread^2) along the spiral, and the signed radius
    r ~ N(start + pitch t, width^2) across it. The Jacobian of (t, r) -> x has determinant r, and x
    has the preimages (phi + 2 pi m, |x|) and (phi + pi + 2 pi m, -|x|), phi its polar angle, so

        p(x) = 1/|x| sum over preimages of p(t) p(r | t).

    Windings further than 8 `spread` from `turn` are left out: less than 1e-14 of the mass. The
    density has a pole at the origin, of no weight where r = 0 is many `width` away.

    >>> import jax.numpy as jnp
    >>> from jepa_jax.densities import Spiral
    >>> ridge = 2.9 * jnp.array([[jnp.cos(8.0), jnp.sin(8.0)]])  # r = start + pitch t at t = turn
    >>> round(float(Spiral().log_prob(ridge)[0]), 3)  # -log(2.9 * 2 pi * 2 * .15)
    -1.699
    """

    start: float | Float[Array, ""] = 0.5
    pitch: float | Float[Array, ""] = 0.3
    turn: float | Float[Array, ""] = 8.0
    spread: float | Float[Array, ""] = 2.0
    width: float | Float[Array, ""] = 0.15

    @property
    def shape(self) -> tuple[int, ...]:
        """(2,)."""
        return (2,)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
        """`n` independent points."""
        along, across = jax.random.normal(key, (2, n))
        t = self.turn + self.spread * along
        r = self.start + self.pitch * t + self.width * across
        return jnp.stack([r * jnp.cos(t), r * jnp.sin(t)], -1)

    def log_prob(self, x: Float[Array, "n 2"]) -> Float[Array, " n"]:
        """The log-density, nats: a log-sum over the windings within 8 `spread`."""
        windings = jnp.arange(-_WINDINGS, _WINDINGS + 1, dtype=x.dtype)
        radius = jnp.linalg.norm(x, axis=-1)
        # The angle nearest to `turn`: windings are then counted from there.
        phi = jnp.arctan2(x[:, 1], x[:, 0])
        terms = []
        for sign, shift in ((1.0, 0.0), (-1.0, math.pi)):
            nearest = phi + shift - 2 * math.pi * jnp.round((phi + shift - self.turn) / math.tau)
            t = nearest[:, None] + math.tau * windings[None]
            along = (t - self.turn) / self.spread
            across = (sign * radius[:, None] - self.start - self.pitch * t) / self.width
            terms.append(-0.5 * (jnp.square(along) + jnp.square(across)))
        total = jax.nn.logsumexp(jnp.concatenate(terms, 1), axis=1)
        scale = jnp.log(jnp.asarray(self.spread * self.width, x.dtype))
        return total - _LOG_2PI - scale - jnp.log(radius)


# 8 spreads of up to 4 radians each, in turns.
_WINDINGS = 6
