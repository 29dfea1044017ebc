"""The families of encoders that can be loaded, one a file: a new one is a file and a line here."""

from jepa_jax.checked_json import shown
from jepa_jax.encoders.families import clip, dinov2, ijepa
from jepa_jax.encoders.family import Family

FAMILIES: tuple[Family, ...] = (dinov2.FAMILY, ijepa.FAMILY, clip.FAMILY)


def find_family(model_type: object) -> Family:
    """The family of a checkpoint's `model_type`; `ValueError` lists the known ones."""
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = {t: f.name for f in FAMILIES for t in f.model_types}
    raise ValueError(
        f"`model_type` must be one of "
        f"{', '.join(f'{t} ({name})' for t, name in known.items())}; got {shown(model_type)}"
    )
