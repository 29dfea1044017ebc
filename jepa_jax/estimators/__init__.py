"""Log-volumes of Jacobians: one method a file, one signature for all; `methods.py` lists them."""

from typing import TYPE_CHECKING

import lazy_loader

from jepa_jax.estimators.methods import METHODS

if TYPE_CHECKING:
    from jepa_jax.estimators.corrected import Corrected as Corrected
    from jepa_jax.estimators.corrected import Line as Line
    from jepa_jax.estimators.estimate import Estimate as Estimate
    from jepa_jax.estimators.estimate import Estimator as Estimator
    from jepa_jax.estimators.methods import *
    from jepa_jax.estimators.shares import patch_shares as patch_shares
    from jepa_jax.estimators.sketch.estimator import SketchCalibration as SketchCalibration
    from jepa_jax.estimators.sketch.fitting import SketchFit as SketchFit
    from jepa_jax.estimators.sketch.fitting import SketchSamples as SketchSamples

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corrected": ["Corrected", "Line"],
        "estimate": ["Estimate", "Estimator"],
        "shares": ["patch_shares"],
        "sketch.fitting": ["SketchFit", "SketchSamples"],
        **{method.home: [method.estimator] for method in METHODS.values()},
        "sketch.estimator": ["Sketch", "SketchCalibration"],
    },
)
