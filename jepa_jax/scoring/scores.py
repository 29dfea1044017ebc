"""Scores of images as columns."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Scores(NamedTuple):
    """Scores of N images, NumPy arrays. Log-volumes and errors in nats; higher = more typical.

    `jepa_score`, `std_error`, `bias_bound` (NaN where the method has none) and `rank` (N,);
    `embedding` (N, K); `singular_values` (N, rank), `flagged` (N,), outside of what a calibrated
    estimator was fitted on, and `patch_shares` (N, rows, columns), each patch's share of the volume
    (`jepa_jax.estimators.patch_shares`) and `products` (N,), VJPs taken and as many JVPs, where the
    estimator returns them, or None. `inner`: by the names of the encoder's further embedding rules,
    their scores of the same images; None where it has none.

    >>> import numpy as np
    >>> from jepa_jax import Scores
    >>> scores = Scores(
    ...     jepa_score=np.array([-90.0, -210.0, -104.0]),
    ...     std_error=np.zeros(3),
    ...     bias_bound=np.full(3, np.nan),
    ...     rank=np.full(3, 62),
    ...     embedding=np.zeros((3, 64)),
    ... )
    >>> scores.jepa_score.argsort().tolist()  # The least typical image first.
    [1, 2, 0]
    """

    jepa_score: Float[np.ndarray, " n"]
    std_error: Float[np.ndarray, " n"]
    bias_bound: Float[np.ndarray, " n"]
    rank: Int[np.ndarray, " n"]
    embedding: Float[np.ndarray, "n k"]
    singular_values: Float[np.ndarray, "n r"] | None = None
    flagged: Bool[np.ndarray, " n"] | None = None
    patch_shares: Float[np.ndarray, "n rows columns"] | None = None
    products: Int[np.ndarray, " n"] | None = None
    inner: "dict[str, Scores] | None" = None


def map_columns(
    function: Callable[[Sequence[np.ndarray]], np.ndarray], parts: Sequence[Scores]
) -> Scores:
    """`function` of every column of `parts`, given as a sequence; None stays None."""

    def mapped(column: tuple[Any, ...]) -> Any:
        if isinstance(column[0], dict):
            return {name: map_columns(function, [c[name] for c in column]) for name in column[0]}
        return None if column[0] is None else function(column)

    return Scores._make(mapped(column) for column in zip(*parts, strict=True))
