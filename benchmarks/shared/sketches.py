"""A sketch without a calibration, where its time is the subject."""

import jax
import jax.numpy as jnp
import numpy as np

from jepa_jax import Sketch, SketchSamples
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.estimators.sketch.measurement import Measurement


def random_sketch(encoder: Encoder, cotangents: int) -> Sketch:
    """A sketch with all covariates, fitted on random numbers in the shapes of 128 images': the time
    is right, the score means nothing."""
    rng = np.random.default_rng(0)
    side = encoder.image_size
    image = jax.ShapeDtypeStruct((side, side, encoder.config.channels), jnp.float32)
    coordinates = jax.eval_shape(encoder.coordinates, encoder.state, image)
    shapes = jax.eval_shape(encoder.covariates, encoder.state, coordinates)
    n, k = 128, encoder.embedding_size
    measured = Measurement(
        rng.standard_normal(n),
        np.linalg.cholesky(np.eye(cotangents) + np.zeros((n, 1, 1))),
        {name: rng.standard_normal((n, s.size)) for name, s in shapes.items()},
    )
    fitted = SketchSamples(np.eye(cotangents, k), measured, k - 2).fit(cotangents)
    return Sketch(fitted.calibration)
