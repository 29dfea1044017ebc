"""JEPA-SCORE: the data density that a pretrained self-supervised image encoder has learned.

JEPA-SCORE(x) = sum of log singular values of the encoder's input Jacobian at x, in nats
(arXiv 2510.05949). Higher = more typical of the encoder's training data.

Importing this package needs JAX, Flax, NumPy, safetensors and Pillow; reading data sets, writing
tables and the command line import what they need when used.
"""

from jepa_jax.xla import keep_reductions_right

keep_reductions_right()  # Before anything below can compile.

from jepa_jax.encoders import Encoder, load_encoder
from jepa_jax.estimators import (
    Estimate,
    Exact,
    Hutchinson,
    Lanczos,
    Sketch,
    SketchCalibration,
    SketchSamples,
    XTrace,
)
from jepa_jax.jacobian import Jacobian, jacobian
from jepa_jax.scoring import Scorer, Scores
from jepa_jax.version import __version__

__all__ = [
    "Encoder",
    "Estimate",
    "Exact",
    "Hutchinson",
    "Jacobian",
    "Lanczos",
    "Scorer",
    "Scores",
    "Sketch",
    "SketchCalibration",
    "SketchSamples",
    "XTrace",
    "__version__",
    "jacobian",
    "load_encoder",
]
