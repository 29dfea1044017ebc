"""`load_encoder`: a pretrained encoder from a checkpoint folder, the hub, or the package."""

from pathlib import Path

import jax.numpy as jnp
from jax.typing import DTypeLike
from PIL import Image

from jepa_jax.encoders import reading
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.encoder import Encoder, Origin
from jepa_jax.encoders.families import find_family
from jepa_jax.encoders.parameters import fill
from jepa_jax.encoders.preprocessing import load_preprocess

EMBEDDED = Path(__file__).parent.parent / "assets" / "embedded"


def load_encoder(
    name_or_path: str | Path,
    *,
    embedding: str | EmbeddingRule | None = None,
    image_size: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Encoder:
    """A pretrained encoder from a checkpoint folder, from the hub by name, or "embedded".

    A folder holds config.json, preprocessor_config.json (or processor_config.json) and
    model.safetensors (or its shards), as `transformers` writes them. A hub name such as
    "facebook/dinov2-small" is downloaded once, and found in the hub's cache when offline.
    "embedded" is the small encoder that comes with the package. `embedding` overrides the family's
    rule ("cls", "mean", "projected", "cls@8", each with an optional "+normalized"); `image_size`
    the side of the input in pixels; `dtype` the type of the parameters in memory, whatever it is
    on disk.

    Raises `FileNotFoundError` where there is no such checkpoint; `ValueError` on an unknown family
    (naming the known ones), on weights that do not fit (listing every tensor missing, left over or
    of another shape), and on an embedding rule or image size that the encoder cannot have.

    >>> from jepa_jax import load_encoder
    >>> load_encoder("embedded").embedding_size
    64
    """
    folder = EMBEDDED if str(name_or_path) == "embedded" else reading.find(name_or_path)
    hub = reading.read_json(folder / "config.json")
    family = find_family(hub.get("model_type"))
    config = family.config(hub)
    rule = EmbeddingRule.parse(embedding) if isinstance(embedding, str) else embedding
    arrays = reading.read_parameters(
        folder, family.parameters(config), family.ignored, family.prefixes
    )
    model = fill(config, arrays, dtype)
    preprocess = load_preprocess(folder, image_size, config.patch_size, config.image_size)
    side = image_size
    if side is None:
        # What the preprocessing gives, not config.json: DINOv2 has 518 there, and is used at 224.
        side = preprocess(Image.new("RGB", (64, 64)), True).shape[0]
    return Encoder(
        name=str(name_or_path),
        model=model,
        rule=rule or family.rule(config),
        image_size=side,
        preprocess=preprocess,
        fingerprint=reading.fingerprint(folder),
        origin=Origin(
            str(name_or_path),
            str(embedding) if embedding is not None else None,
            image_size,
            jnp.dtype(dtype).name,
        ),
    )
