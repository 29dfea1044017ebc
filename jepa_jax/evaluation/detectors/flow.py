"""A normalising flow of the embeddings, by flowjax."""

import dataclasses

import numpy as np
from jaxtyping import Float

from jepa_jax.evaluation.detectors.detector import Fitted
from jepa_jax.evaluation.detectors.pca import principal_components
from jepa_jax.evaluation.features import Features


@dataclasses.dataclass(frozen=True)
class Flow:
    """The log-density (nats) of a normalising flow of whitened principal components of embeddings.

    Of up to `dimensions` principal components, but no more than one for ten reference images:
    `layers` affine coupling layers, trained by maximum likelihood until a tenth of the reference
    images, held out, has not improved for five epochs.

    Raises `ModuleNotFoundError` that names the extra to install where flowjax is missing, and
    `ValueError` with fewer than 40 reference images.
    Source: Dinh et al., Real NVP, arXiv 1605.08803; on embeddings Kirichenko et al., arXiv
    2006.08545. Cost: tens of seconds to compile and fit on a CPU.

    >>> from jepa_jax.evaluation import Flow
    >>> Flow(layers=2, seed=1).name, sorted(Flow().needs)
    ('normalising flow', ['embedding'])
    """

    layers: int = 4
    width: int = 64
    dimensions: int = 16
    epochs: int = 200
    learning_rate: float = 1e-3
    seed: int = 0

    @property
    def name(self) -> str:
        return "normalising flow"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"embedding"})

    def fit(self, reference: Features) -> Fitted:
        try:
            import equinox as eqx
            from flowjax.distributions import StandardNormal
            from flowjax.flows import coupling_flow
            from flowjax.train import fit_to_data
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "the normalising flow needs flowjax: install it with "
                "`pip install 'jepa-jax[evaluation]'`, or leave the flow out"
            ) from error
        import jax

        if len(reference) < 40:
            raise ValueError(
                f"{self.name} needs at least 40 reference images, got {len(reference)}"
            )
        whiten = principal_components(self.name, reference, self.dimensions)
        z = whiten(reference).astype(np.float32)
        start, training = jax.random.split(jax.random.key(self.seed))
        # The library's own arithmetic mixes types.
        with jax.numpy_dtype_promotion("standard"):
            flow = coupling_flow(
                start,
                base_dist=StandardNormal((z.shape[1],)),
                flow_layers=self.layers,
                nn_width=self.width,
            )
            flow, _ = fit_to_data(
                training,
                flow,
                z,
                learning_rate=self.learning_rate,
                max_epochs=self.epochs,
                max_patience=5,
                show_progress=False,
            )
        density = eqx.filter_jit(lambda flow, x: flow.log_prob(x))

        def score(images: Features) -> Float[np.ndarray, " n"]:
            with jax.numpy_dtype_promotion("standard"):
                values = density(flow, whiten(images).astype(np.float32))
            return np.asarray(values, np.float64)

        return Fitted(self, score)
