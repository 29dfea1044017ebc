"""What a family of encoders states about itself."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.vit_config import ViTConfig


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a published encoder beside its shape. None of it is read from the hub.

    `argument`: whether the reasons hold for which its Jacobian tells of the data's density (arXiv
    2510.05949): "justified", a latent target and a term against collapse; "contrastive", as for
    CLIP, which that paper measures too; "control", trained for something else. `gated`: the hub
    gives it to who has accepted its licence. `safetensors`: whether its weights are there as such.
    """

    argument: Literal["justified", "contrastive", "control"]
    licence: str
    gated: bool = False
    safetensors: bool = True


@dataclasses.dataclass(frozen=True)
class Family:
    """How one family's checkpoints become a `ViT`.

    `model_types`: the values of `model_type` in config.json (none in timm's, which has
    `architecture`). `image_processor`: what `transformers`
    prepares images with where the checkpoint does not say. `config`: config.json's content to a
    `ViTConfig`; `ValueError` names a field that does not fit (`checked_json.checked`).
    `parameters`: our parameter names to stored tensors. `rule`: the family's own embedding.
    `ignored`: stored tensors that are not part of the encoder, as regular expressions. `prefixes`:
    what stored names may begin with. `published`: hub names to what differs from the family's
    default configuration. `facts`: beginnings of those names to what is known of them; the longest
    that fits holds. `processor`: what prepares images where config.json itself says how. `clips`:
    as `config`, for clips of so many frames. `conversion`: what makes safetensors of the published
    files, which are pickles of their authors' own code, where `transformers` has no such class.
    `projector`: the configuration with the projector that lies beside the encoder, from
    config.json, the configuration without, and the shapes of all stored tensors.
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
    facts: dict[str, Facts]
    processor: Callable[[dict], Any] | None = None
    clips: Callable[[dict, int], ViTConfig] | None = None
    conversion: str = ""
    projector: Callable[[dict, ViTConfig, Mapping[str, tuple[int, ...]]], ViTConfig] | None = None

    def facts_of(self, name: str) -> Facts:
        """What is known of a published encoder."""
        return self.facts[max(filter(name.startswith, self.facts), key=len)]


def full_config(family: Family, published: dict) -> dict:
    """config.json of a published encoder, of what differs from the family's default."""
    return ({"model_type": family.model_types[0]} if family.model_types else {}) | published
