"""config.json of vision transformers: the fields that families have in common, and their limits."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from jepa_jax.checked_json import Fields, whole
from jepa_jax.encoders.activations import ACTIVATIONS
from jepa_jax.encoders.vit_config import ViTConfig

# More than any image encoder has: what is above is a mistake, or would never end.
MAX_DEPTH, MAX_WIDTH, MAX_SIDE = 1000, 1_000_000, 4096


def _side(value: Any) -> Any:
    """The one length of a square that is given as a number or a pair."""
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        return value[0]
    return value


def _known_activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise ValueError("unknown")
    return name


# Images are read as RGB.
Channels = Annotated[int, Field(ge=3, le=3, description="3, the channels of RGB")]
Count = Annotated[int, whole(1, MAX_DEPTH)]
CountOrNone = Annotated[int, whole(0, MAX_DEPTH)]
Width = Annotated[int, whole(1, MAX_WIDTH)]
# The side of a square, in pixels; a number, or twice the same.
Side = Annotated[int, BeforeValidator(_side), whole(1, MAX_SIDE, ", or a pair of the same")]
Ratio = Annotated[float, Field(gt=0, le=100, description="a number above 0, at most 100")]
Epsilon = Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")]
Activation = Annotated[
    str,
    AfterValidator(_known_activation),
    Field(description=f"one of {', '.join(sorted(ACTIVATIONS))}"),
]


Base = Annotated[float, Field(gt=1, le=1e6, description="a number above 1, at most 1000000")]


class TransformerFields(Fields):
    """What `transformers` calls the shape of a vision transformer, with its usual defaults.

    A family's own class adds fields and changes defaults.
    """

    image_size: Side = 224
    patch_size: Side = 16
    num_channels: Channels = 3
    hidden_size: Width = 768
    num_hidden_layers: Count = 12
    num_attention_heads: Width = 12
    hidden_act: Activation = "gelu"
    layer_norm_eps: Epsilon = 1e-6

    @model_validator(mode="after")
    def _fit(self):
        for name, part in (("hidden_size", "num_attention_heads"), ("image_size", "patch_size")):
            n, parts = getattr(self, name), getattr(self, part)
            if n % parts:
                raise ValueError(f"`{name}` must be a multiple of `{part}`, got {n} and {parts}")
        return self

    def vit(self, mlp_width: int, **settings: Any) -> ViTConfig:
        """Our configuration of this shape, with the `settings` that the family adds."""
        stated: dict[str, Any] = {
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "width": self.hidden_size,
            "depth": self.num_hidden_layers,
            "heads": self.num_attention_heads,
            "channels": self.num_channels,
            "activation": self.hidden_act,
            "layer_norm_eps": self.layer_norm_eps,
        }
        return ViTConfig(mlp_width=mlp_width, **(stated | settings))
