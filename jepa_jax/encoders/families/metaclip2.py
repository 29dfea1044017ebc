"""Image towers of MetaCLIP 2 (`facebook/metaclip-2-*`): CLIP's architecture under other names.

Embedding: the CLS token after the final LayerNorm, projected to the space shared with text.
"""

import dataclasses

from jepa_jax.encoders.families import clip
from jepa_jax.encoders.family import Facts

FAMILY = dataclasses.replace(
    clip.FAMILY,
    name="MetaCLIP 2",
    model_types=("metaclip_2", "metaclip_2_vision_model"),
    published={
        "facebook/metaclip-2-worldwide-l14": clip.published(
            768, clip.tower(1024, 24, 16, 14, "quick_gelu"), "metaclip_2"
        ),
        "facebook/metaclip-2-worldwide-huge-quickgelu": clip.published(
            1024, clip.tower(1280, 32, 16, 14, "quick_gelu"), "metaclip_2"
        ),
    },
    facts={"": Facts("contrastive", "CC-BY-NC-4.0")},
)
