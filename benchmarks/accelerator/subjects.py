"""The encoders that are measured: published shapes with random weights, and small ones."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.families import FAMILIES
from jepa_jax.encoders.family import full_config
from jepa_jax.encoders.pillow_processor import PillowProcessor
from jepa_jax.encoders.preprocessing import Preprocess
from jepa_jax.encoders.vision_transformer import ViT
from jepa_jax.encoders.writing import write_checkpoint
from jepa_jax.training.trainer import initial_model


@dataclasses.dataclass(frozen=True)
class Subject:
    """A published shape and the side of its input, pixels."""

    name: str
    published: str
    side: int


SUBJECTS = {
    "small": Subject("ViT-S/14", "facebook/dinov2-small", 224),
    "large": Subject("ViT-L/14", "facebook/dinov2-large", 224),
    "huge": Subject("I-JEPA H/14", "facebook/ijepa_vith14_1k", 224),
}
_TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 28,
}


def hub_config(subject: Subject, tiny: bool) -> dict:
    """config.json of the shape, or of a small one of its family."""
    family = next(f for f in FAMILIES if subject.published in f.published)
    changes = _TINY if tiny else {}
    return full_config(family, family.published[subject.published]) | changes


def model_of(subject: Subject, tiny: bool) -> ViT:
    """Random weights: the same for a name."""
    family = next(f for f in FAMILIES if subject.published in f.published)
    return initial_model(family.config(hub_config(subject, tiny)), jax.random.key(0))


def encoder_of(subject: Subject, tiny: bool) -> Encoder:
    """The encoder in memory, with a usual preprocessing: it is measured on arrays."""
    model = model_of(subject, tiny)
    family = next(f for f in FAMILIES if subject.published in f.published)
    rule = family.rule(model.config)
    side = model.config.image_size if tiny else subject.side
    processor = PillowProcessor.of("BitImageProcessor", {"size": side, "crop_size": side})
    return Encoder(subject.name, model, rule, side, Preprocess(processor, {}), "random")


def write_folder(folder: Path, subject: Subject, tiny: bool) -> int:
    """The encoder as a checkpoint that PyTorch loads too; returns the side of its input."""
    side = 28 if tiny else subject.side
    preprocessor = {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
    }
    write_checkpoint(folder, hub_config(subject, tiny), preprocessor, model_of(subject, tiny))
    return side


def images_of(side: int, count: int) -> np.ndarray:
    """Preprocessed images of noise (count, side, side, 3)."""
    return np.random.default_rng(0).standard_normal((count, side, side, 3)).astype(np.float32)
