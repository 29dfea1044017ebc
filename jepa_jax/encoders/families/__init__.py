"""The families of encoders that can be loaded, one a file: a new one is a file and a line here."""

from collections.abc import Mapping
from typing import Any

from jepa_jax.checked_json import shown
from jepa_jax.encoders.families import (
    clip,
    dinov2,
    dinov3,
    ijepa,
    metaclip2,
    siglip,
    timm,
    vit,
    vjepa2,
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
    vjepa2.FAMILY,
    timm.FAMILY,
)


def find_family(hub: Mapping[str, Any]) -> Family:
    """The family of a config.json, by its `model_type` or, in timm's, `architecture`.

    Raises `ValueError`, listing the known ones, on another.
    """
    model_type = hub.get("model_type")
    if model_type is None and "architecture" in hub:
        return timm.FAMILY
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = {t: f.name for f in FAMILIES for t in f.model_types}
    raise ValueError(
        f"`model_type` must be one of "
        f"{', '.join(f'{t} ({name})' for t, name in known.items())}; got {shown(model_type)}"
        "; or `architecture` a vision transformer of timm's"
    )
