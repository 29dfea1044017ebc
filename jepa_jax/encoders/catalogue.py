"""The published encoders that can be loaded, and what one VJP through each costs."""

import dataclasses
from collections.abc import Iterator

from jepa_jax.checked_json import read_json
from jepa_jax.encoders.embedding import null_count
from jepa_jax.encoders.families import FAMILIES, find_family
from jepa_jax.encoders.family import Facts, full_config
from jepa_jax.encoders.loading import EMBEDDED
from jepa_jax.encoders.parameters import parameter_count
from jepa_jax.encoders.vjp_flops import vjp_flops


@dataclasses.dataclass(frozen=True)
class Entry:
    """One published encoder: K coordinates, `pixels` a side of its usual input, FLOP a VJP.

    `null`: its null directions in closed form. `facts`: what is known beside; None of the embedded
    encoder, which comes with the package.
    """

    name: str
    family: str
    embedding: str
    k: int
    patch: int
    pixels: int
    parameters: int
    vjp_flops: float
    null: int
    facts: Facts | None


def catalogue() -> Iterator[Entry]:
    """Every published encoder, and the embedded one first. Reads no weights."""
    embedded = read_json(EMBEDDED / "config.json")
    yield _entry("embedded", embedded)
    for family in FAMILIES:
        for name, hub in family.published.items():
            yield _entry(name, full_config(family, hub))


def _entry(name: str, hub: dict) -> Entry:
    family = find_family(hub)
    config = family.config(hub)
    rule = family.rule(config)
    # DINOv2's position embeddings are for 518 pixels; its image processor gives 224.
    pixels = min(config.image_size, 448) if config.image_size != 518 else 224
    return Entry(
        name=name,
        family=family.name,
        embedding=str(rule),
        k=rule.size(config),
        patch=config.patch_size,
        pixels=pixels,
        parameters=parameter_count(config),
        vjp_flops=vjp_flops(config, rule, pixels, pixels),
        null=null_count(config, rule),
        facts=None if name == "embedded" else family.facts_of(name),
    )
