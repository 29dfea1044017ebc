"""What a family of encoders states about itself."""

import dataclasses
from collections.abc import Callable

from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit import ViTConfig


@dataclasses.dataclass(frozen=True)
class Family:
    """How one family's checkpoints become a `ViT`.

    `model_types`: the values of `model_type` in config.json. `image_processor`: what `transformers`
    prepares images with where the checkpoint does not say. `config`: config.json's content to a
    `ViTConfig`; `ValueError` names a field that does not fit (`checked_json.checked`).
    `parameters`: our parameter names to stored tensors. `rule`: the family's own embedding.
    `ignored`: stored tensors that are not part of the encoder, as regular expressions. `prefixes`:
    what stored names may begin with. `published`: hub names to what differs from the family's
    default configuration.
    """

    name: str
    model_types: tuple[str, ...]
    image_processor: str
    config: Callable[[dict], ViTConfig]
    parameters: Callable[[ViTConfig], dict[str, Stored]]
    rule: Callable[[ViTConfig], EmbeddingRule]
    ignored: tuple[str, ...]
    prefixes: tuple[str, ...]
    published: dict[str, dict]
