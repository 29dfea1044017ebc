"""The Jacobian of an encoder's embedding at an image."""

from flax import nnx

from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.vision_transformer import Pixels
from jepa_jax.jacobian_operator import Jacobian, Jacobians, jacobian


def jacobian_of(
    encoder: Encoder, state: nnx.State, image: Pixels, chunk: int | None = None
) -> Jacobian:
    """The Jacobian of an encoder's embedding at one preprocessed image.

    With respect to `Encoder.coordinates`, which leave the singular values as they are; with the
    null directions and the covariates that the encoder knows.
    """
    coordinates = encoder.coordinates(state, image)
    return jacobian(
        lambda u: encoder.embed_coordinates(state, u),
        coordinates,
        chunk=chunk,
        null_basis=lambda z: encoder.null_basis(state, z, coordinates=coordinates),
        covariates=lambda: encoder.covariates(state, coordinates),
    )


def jacobians_of(
    encoder: Encoder, state: nnx.State, image: Pixels, chunk: int | None = None
) -> Jacobians:
    """The Jacobians of the embeddings by each of the encoder's `rules` at one preprocessed image.

    As `jacobian_of`, without covariates; one forward pass for all.
    """
    coordinates = encoder.coordinates(state, image)
    return Jacobians(
        lambda u: encoder.embed_coordinates_each(state, u),
        coordinates,
        chunk=chunk,
        null_bases=[
            lambda z, rule=rule: encoder.null_basis(state, z, rule, coordinates)
            for rule in encoder.rules
        ],
    )
