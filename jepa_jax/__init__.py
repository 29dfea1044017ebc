"""JEPA-SCORE: the data density that a pretrained self-supervised image encoder has learned.

JEPA-SCORE(x) = sum of log singular values of the encoder's input Jacobian at x, in nats
(arXiv 2510.05949). Higher = more typical of the encoder's training data.

Names are imported when they are used: reading scores, reports and selections never import JAX.
"""

from typing import TYPE_CHECKING

import lazy_loader

from jepa_jax.estimators.methods import METHODS
from jepa_jax.version import __version__ as __version__
from jepa_jax.xla import keep_reductions_right

if TYPE_CHECKING:
    from jepa_jax.calibration.calibration import Calibration as Calibration
    from jepa_jax.calibration.calibration import load_calibration as load_calibration
    from jepa_jax.calibration.measuring import calibrate as calibrate
    from jepa_jax.encoders.encoder import Encoder as Encoder
    from jepa_jax.encoders.loading import load_encoder as load_encoder
    from jepa_jax.estimators import *
    from jepa_jax.jacobian_operator import Jacobian as Jacobian
    from jepa_jax.jacobian_operator import jacobian as jacobian
    from jepa_jax.scoring.scorer import Scorer as Scorer
    from jepa_jax.scoring.scores import Scores as Scores

keep_reductions_right()  # Before anything can compile.

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "encoders.encoder": ["Encoder"],
        "encoders.loading": ["load_encoder"],
        "jacobian_operator": ["Jacobian", "jacobian"],
        "calibration.calibration": ["Calibration", "load_calibration"],
        "calibration.measuring": ["calibrate"],
        "scoring.scorer": ["Scorer"],
        "scoring.scores": ["Scores"],
        "estimators.estimate": ["Estimate"],
        "estimators.sketch.fitting": ["SketchSamples"],
        **{f"estimators.{m.home}": [m.estimator] for m in METHODS.values()},
        "estimators.sketch.estimator": ["Sketch", "SketchCalibration"],
    },
)
__all__ += ["__version__"]
