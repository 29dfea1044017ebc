"""The families of encoders that can be loaded, one a file: a new one is a file and a line here."""

from collections.abc import Mapping
from typing import Any

from jepa_jax.checked_json import shown
from jepa_jax.encoders.families import (
    aimv2,
    clip,
    dinov2,
    dinov3,
    ijepa,
    metaclip2,
    siglip,
    timm,
    vit,
    vjepa2,
    vjepa2_1,
)
from jepa_jax.encoders.family import Family

FAMILIES: tuple[Family, ...] = (
    dinov2.FAMILY,
    dinov3.FAMILY,
    ijepa.FAMILY,
    clip.FAMILY,
    metaclip2.FAMILY,
    vit.FAMILY,
    siglip.FAMILY,
    aimv2.FAMILY,
    vjepa2.FAMILY,
    vjepa2_1.FAMILY,
    timm.FAMILY,
)

_OTHER_POSITIONS = (
    "its attention has relative position biases, which are not here; of the same kind of training, "
    "facebook/dino-* and facebook/dinov2-* load"
)
# Model types that a user may well have, and why they are not loaded.
_NOT_HERE = {
    "siglip2": "SigLIP 2 of any size (NaFlex) takes patches of any grid; those of a fixed size, "
    "such as google/siglip2-base-patch16-224, load",
    "beit": _OTHER_POSITIONS,
    "data2vec-vision": _OTHER_POSITIONS,
    "convnext": "it has no tokens, and no encoder here is a convolutional network; DINOv3 as a "
    "vision transformer (facebook/dinov3-vit*) loads",
}
_NOT_HERE |= {name: _NOT_HERE["convnext"] for name in ("convnextv2", "dinov3_convnext", "resnet")}


def find_family(hub: Mapping[str, Any]) -> Family:
    """The family of a config.json, by its `model_type` or, in timm's, `architecture`.

    Raises `ValueError`, listing the known ones, on another; of some with the way on.
    """
    model_type = hub.get("model_type")
    if model_type is None and "architecture" in hub:
        return timm.FAMILY
    if model_type == "vjepa2" and hub.get("use_rope_interleave"):
        return vjepa2_1.FAMILY
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    if isinstance(model_type, str) and model_type in _NOT_HERE:
        raise ValueError(f"`model_type` {shown(model_type)} is not loaded: {_NOT_HERE[model_type]}")
    known = {t: f.name for f in FAMILIES for t in f.model_types}
    raise ValueError(
        f"`model_type` must be one of "
        f"{', '.join(f'{t} ({name})' for t, name in known.items())}; got {shown(model_type)}"
        "; or `architecture` a vision transformer of timm's"
    )
