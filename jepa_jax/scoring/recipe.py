"""What a scorer is made of, to make it anew in another process: names, no arrays of an encoder."""

import dataclasses

from jepa_jax.encoders.encoder import Origin
from jepa_jax.encoders.loading import load_encoder
from jepa_jax.estimators.estimate import Estimator
from jepa_jax.precisions import Precision
from jepa_jax.scoring.batch_scorer import BatchScorer


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings of a `BatchScorer`, small enough to be sent: the encoder by where it is loaded
    from. Nothing of it depends on the devices of the process that wrote it."""

    origin: Origin
    fingerprint: str
    estimator: Estimator
    precision: Precision
    batch_size: int | None
    chunk: int | None
    seed: int

    @classmethod
    def of(cls, scorer: BatchScorer) -> "Recipe":
        """The recipe of a scorer; `ValueError` where its encoder was not made by `load_encoder`."""
        encoder = scorer.encoder
        if encoder.origin is None:
            raise ValueError(
                f"{encoder!r} was made in memory: another process cannot load it; write it with "
                "`write_checkpoint` and load that"
            )
        return cls(
            encoder.origin,
            encoder.fingerprint,
            scorer.estimator,
            scorer.precision,
            scorer.batch_size,
            scorer.chunk,
            scorer.seed,
        )

    def build(self, processes: int = 1) -> BatchScorer:
        """The scorer, its encoder loaded in this process.

        Raises `ValueError` where another encoder is found under the same name, and what
        `load_encoder` and `Scorer` raise.
        """
        encoder = load_encoder(**dataclasses.asdict(self.origin))
        if encoder.fingerprint != self.fingerprint:
            raise ValueError(
                f"the encoder {self.origin.name_or_path!r} is another one here: its fingerprint "
                f"must be {self.fingerprint}, got {encoder.fingerprint}"
            )
        return BatchScorer(
            encoder,
            self.estimator,
            precision=self.precision,
            batch_size=self.batch_size,
            chunk=self.chunk,
            seed=self.seed,
            processes=processes,
        )
