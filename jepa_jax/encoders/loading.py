"""`load_encoder`: a pretrained encoder from a checkpoint folder, the hub, or the package."""

from contextlib import nullcontext
from pathlib import Path

import jax.numpy as jnp
from jax.typing import DTypeLike

from jepa_jax.checked_json import of_file, read_json, refuse_code, shown
from jepa_jax.encoders import reading
from jepa_jax.encoders.embedding import EmbeddingRule, parse_rules
from jepa_jax.encoders.encoder import Encoder, Origin
from jepa_jax.encoders.families import find_family
from jepa_jax.encoders.family import Family
from jepa_jax.encoders.hub_config import MAX_SIDE
from jepa_jax.encoders.image_processor import processor_file
from jepa_jax.encoders.parameters import fill, parameter_dtype
from jepa_jax.encoders.preprocessing import load_preprocess
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.encoders.weights import read_parameters, stored_shapes

EMBEDDED = Path(__file__).parent.parent / "assets" / "embedded"


def load_encoder(
    name_or_path: str | Path,
    *,
    embedding: str | EmbeddingRule | None = None,
    image_size: int | None = None,
    dtype: DTypeLike = jnp.float32,
    frames: int | None = None,
) -> Encoder:
    """A pretrained encoder from a checkpoint folder, from the hub by name, or "embedded".

    A folder holds config.json, preprocessor_config.json (or processor_config.json, or V-JEPA's
    video_preprocessor_config.json) and model.safetensors (or its shards), as `transformers` writes
    them. A hub name such as "facebook/dinov2-small" is downloaded once, and found in the hub's
    cache when offline. "embedded" is the small encoder that comes with the package. `embedding`
    overrides the family's rule ("cls", "mean", "pooled", "projected", "projector", "cls@8",
    "mean@8", each with an optional "+normalized"); several, "cls@4,cls@8,cls", have scores of each
    at once, the last the encoder's own `rule`. `image_size`: the side of the input in pixels;
    `dtype` the type of the parameters in memory, whatever it is on disk. `frames`: an encoder of
    clips of so many frames (V-JEPA 2 and 2.1), `Encoder.preprocess_clip`; a still image is then a
    clip of it alone.

    No code of a checkpoint is run, no pickle is opened, and no question is asked.

    Raises `FileNotFoundError` where there is no such checkpoint; `ValueError` on an unknown family
    (naming the known ones), on a file with values that it cannot have (naming file and field), on
    weights that do not fit (listing the tensors missing, left over, of another shape, quantised),
    that are NaN or infinite, or that the memory does not hold, on an embedding rule or image size
    that the encoder cannot have, and on a `dtype` that JAX does not give.

    >>> from jepa_jax import load_encoder
    >>> load_encoder("embedded").embedding_size
    64
    """
    dtype = parameter_dtype(dtype)
    if image_size is not None and not (type(image_size) is int and 1 <= image_size <= MAX_SIDE):
        raise ValueError(f"`image_size` must be from 1 to {MAX_SIDE} pixels, got {image_size!r}")
    rules = parse_rules(embedding) if isinstance(embedding, str) else (embedding,)
    *inner, rule = rules
    if not isinstance(rule, EmbeddingRule | None):
        raise ValueError(f"`embedding` must be a text or an EmbeddingRule, got {embedding!r}")
    folder = EMBEDDED if str(name_or_path) == "embedded" else reading.find(name_or_path)
    family, config = read_config(folder / "config.json", frames)
    # All that is small is read and checked before the weights; that there are any, before that.
    weights = reading.weight_files(folder)
    stated = processor_file(folder, video=family.clips is not None)
    preprocess = load_preprocess(
        folder,
        image_size,
        config.patch_size,
        config.image_size,
        family.processor(read_json(folder / "config.json"))
        if family.processor and stated is None
        else family.image_processor,
        video=family.clips is not None,
    )
    height, width = preprocess.usual_size
    with of_file(stated or folder) if image_size is None else nullcontext():
        config.grid(height, width)
    if family.projector and any(r and r.pool == "projector" for r in (*inner, rule)):
        stored = stored_shapes(weights)
        config = family.projector(read_json(folder / "config.json"), config, stored)
    rule = rule or family.rule(config)
    for each in (*inner, rule):
        each.check(config)
    arrays = read_parameters(
        weights,
        family.parameters(config),
        family.ignored,
        family.prefixes,
        dtype,
    )
    return Encoder(
        name=str(name_or_path),
        model=fill(config, arrays, dtype),
        rule=rule,
        # What the preprocessing gives, not config.json: DINOv2 has 518 there, and is used at 224.
        image_size=height,
        preprocess=preprocess,
        fingerprint=reading.fingerprint(folder, stated) + (f", {frames} frames" if frames else ""),
        origin=Origin(
            str(name_or_path),
            str(embedding) if embedding is not None else None,
            image_size,
            dtype.name,
            frames,
        ),
        inner=inner,
    )


def read_config(file: Path, frames: int | None = None) -> tuple[Family, ViTConfig]:
    """The family and the shape that a config.json states, for clips of so many `frames` if given;
    `ValueError` names file and field, and a family that has no clips."""
    hub = read_json(file)
    with of_file(file):
        family = find_family(hub)
        trusted = f"where you know that it computes what {family.name} does, take the field out"
        refuse_code(hub, trusted if family.conversion else "")
        if hub.get("quantization_config"):
            raise ValueError(
                "`quantization_config` says that the weights are quantised: take the checkpoint "
                f"in floating-point numbers; got {shown(hub['quantization_config'])}"
            )
        if frames is None:
            return family, family.config(hub)
        if family.clips is None:
            raise ValueError(f"`frames`: {family.name} encodes images, not clips")
        return family, family.clips(hub, frames)
