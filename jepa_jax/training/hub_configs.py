"""A trained vision transformer's files beside its weights, as the hub has them."""

from jepa_jax.training.config import Training

# Settings of the encoder's table that are no part of a checkpoint's config.json.
_OURS = ("kind", "rule", "mean", "std")


def hub_config(training: Training) -> dict:
    """config.json of a vision transformer's configuration."""
    return {k: v for k, v in training.tables["encoder"].items() if k not in _OURS}


def preprocessor_config(training: Training) -> dict:
    """preprocessor_config.json of the same: its image size, mean and standard deviation."""
    encoder = training.tables["encoder"]
    side = encoder["image_size"]
    return {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": side},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [encoder["mean"]] * 3,
        "image_std": [encoder["std"]] * 3,
    }
