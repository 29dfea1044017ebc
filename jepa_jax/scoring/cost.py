"""What one score costs, known before it is computed: arithmetic and memory."""

import dataclasses

from jepa_jax.encoders.embedding import EmbeddingRule, null_count
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.encoders.vjp_flops import vjp_flops
from jepa_jax.estimators.corrected import Corrected
from jepa_jax.estimators.estimate import Estimator, cost_in_vjps
from jepa_jax.estimators.exact import Exact
from jepa_jax.estimators.factor import BLOCK

_FLOAT = 4  # Bytes.


@dataclasses.dataclass(frozen=True)
class Cost:
    """One score of a K x D Jacobian: `vjps` products (JVPs counted as VJPs) of `flops_a_vjp`
    operations, and `memory` bytes beside the parameters, `rows` of them for rows of the Jacobian.

    >>> Cost(k=384, d=98304, vjps=384, flops_a_vjp=1e10, rows=0, memory=0).flops / 1e12
    3.84
    """

    k: int
    d: int
    vjps: float
    flops_a_vjp: float
    rows: int
    memory: int

    @property
    def flops(self) -> float:
        """Floating-point operations, but for those of K x K matrices."""
        return self.vjps * self.flops_a_vjp


def cost_of(
    config: ViTConfig,
    rule: EmbeddingRule,
    estimator: Estimator,
    height: int,
    width: int,
    chunk: int,
) -> Cost:
    """The cost of one score of an input of `height` x `width`, `chunk` products at once.

    Memory: the rows of an exact score and what their factorisation adds; what blocks keep for the
    derivatives; and of `chunk` cotangents in one block, weights of attention among them. Within 25
    % of XLA's plans of exact scores (benchmarks/memory/results), and no more than those of others.

    >>> from jepa_jax import Exact, load_encoder
    >>> encoder = load_encoder("embedded")
    >>> cost = cost_of(encoder.config, encoder.rule, Exact(), 28, 28, chunk=8)
    >>> cost.k, cost.d, cost.rows == 4 * 64 * 1024  # 16 patches of 64 coordinates.
    (64, 1024, True)
    """
    rows, columns = config.grid(height, width)
    k, w = rule.size(config), config.width
    d = rows * columns * min(config.patch_size**2 * config.channels, w)
    tokens = rows * columns + config.prefix
    hidden = config.mlp_width * (2 if config.gated_mlp else 1)
    weights = config.heads * tokens**2
    block = tokens * (6 * w + 2 * hidden)
    kept = config.depth * (2 * tokens * w if config.recompute else block)
    passing = chunk * (block + 3 * weights) + block + weights
    exact = isinstance(estimator, Exact | Corrected)
    # A projector may be much wider than what is live of it; of other rules, nearly all is.
    live = k - null_count(config, rule) if rule.pool == "projector" else k
    held = live * d if exact else 0
    factor = k * (3 * BLOCK + 6 * k) if exact else 0
    return Cost(
        k=k,
        d=d,
        vjps=cost_in_vjps(estimator, live, d),
        flops_a_vjp=vjp_flops(config, rule, height, width),
        rows=_FLOAT * held,
        memory=_FLOAT * (held + factor + kept + passing),
    )
