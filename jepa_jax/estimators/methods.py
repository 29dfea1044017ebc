"""The methods by name: what the command line, the calibrations and the report know of each.

A new method is a file in this folder and an entry (and an import for type checkers) here. Importing
this does not import JAX.
"""

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jepa_jax.estimators.exact import Exact as Exact
    from jepa_jax.estimators.hutchinson import Hutchinson as Hutchinson
    from jepa_jax.estimators.lanczos import Lanczos as Lanczos
    from jepa_jax.estimators.projection import Projection as Projection
    from jepa_jax.estimators.sketch.estimator import Sketch as Sketch
    from jepa_jax.estimators.xtrace import XTrace as XTrace


@dataclasses.dataclass(frozen=True)
class Setting:
    """A number that the command line sets: an attribute of the estimator with this default, a whole
    one of at least 1, or None and positive."""

    name: str
    default: int | None
    meaning: str


@dataclasses.dataclass(frozen=True)
class Method:
    """One method.

    `name`: on the command line and in manifests, the estimator's name in lower case. `home`: its
    module below `jepa_jax.estimators`. `how`: how a report says that scores were had. `settings`:
    those of the command line. `ranks`: whether it takes `rank="clip"`. `calibrated`: whether it is
    made from a calibration, which compares it by itself. `compared`: whether a calibration compares
    it with the others, at its default settings.
    """

    name: str
    estimator: str
    home: str
    how: str
    settings: tuple[Setting, ...] = ()
    ranks: bool = True
    calibrated: bool = False
    compared: bool = False

    def make(self, **settings: Any) -> Any:
        """The estimator with these settings. Imports JAX."""
        module = importlib.import_module(f"jepa_jax.estimators.{self.home}")
        return getattr(module, self.estimator)(**settings)


_PROBES = Setting("probes", 4, "random probes")
_TOLERANCE = Setting("tolerance", None, "nats of std_error, more probes an image until then")

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "exact",
            "Exact",
            "exact",
            "from all singular values, so without a random error",
        ),
        Method(
            "sketch",
            "Sketch",
            "sketch.estimator",
            "predicted from a few vector-Jacobian products by a calibrated regression",
            settings=(Setting("cotangents", 32, "VJPs an image"),),
            ranks=False,
            calibrated=True,
        ),
        Method(
            "lanczos",
            "Lanczos",
            "lanczos",
            "estimated by stochastic Lanczos quadrature",
            settings=(Setting("steps", 20, "Lanczos steps"), _PROBES, _TOLERANCE),
            compared=True,
        ),
        Method(
            "hutchinson",
            "Hutchinson",
            "hutchinson",
            "estimated by Hutchinson's method with Chebyshev polynomials",
            settings=(Setting("degree", 50, "degree of the polynomial"), _PROBES, _TOLERANCE),
            compared=True,
        ),
        Method(
            "projection",
            "Projection",
            "projection",
            "from Gaussian combinations of the Jacobian's columns, with a random error of the same "
            "known size for every image",
            settings=(Setting("oversampling", 64, "JVPs beyond the live dimensions"),),
            ranks=False,
        ),
        Method(
            "xtrace",
            "XTrace",
            "xtrace",
            "estimated by XTrace",
            settings=(
                Setting("steps", 30, "Lanczos steps"),
                Setting("products", 12, "products with the log"),
            ),
        ),
    )
}

# Of manifests: those, and the one that `--correct` makes of `exact`.
HOW = {method.name: method.how for method in METHODS.values()} | {
    "corrected": "from all singular values at a lower precision of the matrix products, and "
    "corrected by a line that was fitted to float32's scores"
}


def find_method(name: str) -> Method:
    """The method of this name; `ValueError` lists the known ones."""
    if name not in METHODS:
        raise ValueError(f"the method must be one of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]
