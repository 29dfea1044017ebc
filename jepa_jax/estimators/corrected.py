"""Exact scores at a low precision of the products, corrected by a line to float32's."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.estimators.estimate import Estimate
from jepa_jax.estimators.exact import Exact
from jepa_jax.jacobian_operator import Jacobian

# A score is flagged that is farther from the centre than any of the line's, by this share.
_BEYOND = 1.25
FEWEST = 8


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Line:
    """y = `level` + `slope` (x - `centre`), fitted on `images` pairs, with its error of prediction.

    `sigma`: the residuals' standard deviation, of n - 2 degrees of freedom; `spread`: the sum of
    (x - centre)^2; `farthest`: the largest |x - centre|. Nats. A pytree.

    >>> from jepa_jax.estimators import Line
    >>> line = Line.fit(x=[0, 1, 2, 3, 4, 5, 6, 7], y=[1, 3, 5, 7, 9, 11, 13, 15])
    >>> float(line.slope), float(line.level), float(line.centre), float(line.sigma)
    (2.0, 8.0, 3.5, 0.0)
    """

    level: Float[Array, ""]
    slope: Float[Array, ""]
    centre: Float[Array, ""]
    sigma: Float[Array, ""]
    spread: Float[Array, ""]
    farthest: Float[Array, ""]
    images: int = dataclasses.field(metadata={"static": True})

    @classmethod
    def fit(cls, x, y) -> "Line":
        """Least squares of y on x, arrays of one length.

        Raises `ValueError` on fewer than 8 pairs, or where all x are the same.
        """
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if len(x) != len(y) or len(x) < FEWEST:
            raise ValueError(
                f"`x` and `y` must be at least {FEWEST} pairs, got {len(x)} and {len(y)}"
            )
        offset = x - x.mean()
        spread = np.square(offset).sum()
        if not spread > 0:
            raise ValueError("`x` must differ from image to image, got one value for all")
        slope = offset @ (y - y.mean()) / spread
        residuals = y - y.mean() - slope * offset
        sigma = np.sqrt(np.square(residuals).sum() / (len(x) - 2))
        values = (y.mean(), slope, x.mean(), sigma, spread, np.abs(offset).max())
        return cls(*(jnp.asarray(value, jnp.float32) for value in values), images=len(x))

    def predict(
        self, x: Float[Array | np.ndarray, "*b"]
    ) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
        """y at `x` and its standard error: sigma sqrt(1 + 1/n + (x - centre)^2 / spread)."""
        offset = x - self.centre
        leverage = 1 + 1 / self.images + jnp.square(offset) / self.spread
        return self.level + self.slope * offset, self.sigma * jnp.sqrt(leverage)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Corrected:
    """The exact score at the precision that is set, corrected to float32's by a fitted `line`.

    Rounded operands fill up the smallest singular values, so that scores are too high, and the more
    so the lower they are: a line fitted on some images' scores at both precisions takes off the
    mean and the slope of that. `std_error` is the line's standard error of prediction, for images
    like those that it was fitted on; `flagged`: the score is farther from the centre of theirs, by
    a quarter, than any of them. `bias_bound` is NaN.

    Cost: K VJPs, as `Exact`; memory likewise.

    When to use it: with a precision that is faster on the device (`--precision bf16 --correct 32`),
    where scores are compared with float32's or refined to them. When not to: for ranks alone, which
    no line changes.

    >>> import jax.numpy as jnp
    >>> from jepa_jax import jacobian
    >>> from jepa_jax.estimators import Corrected, Line
    >>> line = Line.fit(x=range(8), y=[0.5 + x for x in range(8)])  # Half a nat too low.
    >>> estimate = Corrected(line)(jacobian(lambda x: x * jnp.e, jnp.ones(3)))
    >>> round(float(estimate.log_volume), 4), bool(estimate.flagged)
    (3.5, False)
    """

    line: Line

    def __call__(self, jacobian: Jacobian, key: PRNGKeyArray | None = None) -> Estimate:
        """The estimate at the Jacobian's input; `key` is not used."""
        found = Exact()(jacobian)
        value, error = self.line.predict(found.log_volume)
        distance = jnp.abs(found.log_volume - self.line.centre)
        return found._replace(
            # A deficient Jacobian's stays -inf, whatever the line's slope.
            log_volume=jnp.where(jnp.isfinite(value), value, found.log_volume),
            std_error=error,
            bias_bound=jnp.full_like(value, jnp.nan),
            flagged=distance > _BEYOND * self.line.farthest,
        )

    def cost(self, k: int, d: int) -> tuple[float, float]:
        """(VJPs, JVPs) for K x D: those of `Exact`."""
        return Exact().cost(k, d)
