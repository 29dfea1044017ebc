"""A whole encoder of 16 dimensions and four patches, for tests of where and how it is computed."""

from pathlib import Path

from random_models import random_model

from jepa_jax.encoders.families import find_family
from jepa_jax.encoders.writing import write_checkpoint

HUB_CONFIG = {
    "model_type": "dinov2",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "mlp_ratio": 2,
    "patch_size": 7,
    "image_size": 14,
}
PREPROCESSOR_CONFIG = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_center_crop": True,
    "do_convert_rgb": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "resample": 3,
    "size": {"shortest_edge": 14},
    "crop_size": {"height": 14, "width": 14},
}


def write_tiny_checkpoint(folder: Path) -> None:
    """Writes it as a folder that `load_encoder` reads."""
    model = random_model(find_family(HUB_CONFIG).config(HUB_CONFIG))
    write_checkpoint(folder, HUB_CONFIG, PREPROCESSOR_CONFIG, model)
