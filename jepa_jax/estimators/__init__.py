"""Log-volumes of Jacobians: one method a file, one signature for all."""

from jepa_jax.estimators.estimate import Estimate, Estimator
from jepa_jax.estimators.exact import Exact

__all__ = ["Estimate", "Estimator", "Exact"]
