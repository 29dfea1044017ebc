"""Images resized as numbers: against PyTorch's antialiased filter, which torchvision calls."""

import json

import numpy as np
import pytest
import torch
from checkpoints import FLOAT
from PIL import Image

from jepa_jax.encoders.preprocessing import load_preprocess

MEAN, DEVIATION = (np.array(FLOAT[name], np.float32) for name in ("image_mean", "image_std"))


def preprocess(tmp_path, image_size=None, **settings):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(FLOAT | settings))
    return load_preprocess(tmp_path, image_size)


def noise(height, width):
    rng = np.random.default_rng(height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def torchs(image, height, width, mode="bilinear"):
    """As torchvision does: rescaled, resized with antialias, normalised."""
    values = torch.from_numpy(np.asarray(image).astype(np.float32) / 255).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(values, (height, width), mode=mode, antialias=True)
    return (resized[0].permute(1, 2, 0).numpy() - MEAN) / DEVIATION


@pytest.mark.parametrize("size", [(100, 80), (30, 57), (640, 200), (57, 56)])
@pytest.mark.parametrize(("resample", "mode"), [(2, "bilinear"), (3, "bicubic")])
def test_as_pytorch_resizes(tmp_path, size, resample, mode):
    image = noise(*size)
    found = preprocess(tmp_path, resample=resample)(image, True)
    assert found.dtype == np.float32
    # The bound that the module states.
    np.testing.assert_allclose(found, torchs(image, 56, 56, mode), atol=5e-5)


def test_an_image_of_the_inputs_size_is_only_normalised(tmp_path):
    image = noise(56, 56)
    expected = (np.asarray(image, np.float32) / 255 - MEAN) / DEVIATION
    for resize in (True, False):
        found = preprocess(tmp_path)(image, resize)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_another_image_size(tmp_path):
    image = noise(100, 80)
    found = preprocess(tmp_path, 28)(image, True)
    np.testing.assert_allclose(found, torchs(image, 28, 28), atol=5e-5)


@pytest.mark.parametrize(("size", "resized"), [((100, 80), (80, 64)), ((81, 100), (64, 79))])
def test_a_short_edge_and_a_crop(tmp_path, size, resized):
    image = noise(*size)
    settings = {"size": {"shortest_edge": 64}, "crop_size": 56, "do_center_crop": True}
    found = preprocess(tmp_path, **settings)(image, True)
    whole = torchs(image, *resized)
    # torchvision's CenterCrop: half of what is over, rounded to even where that ends in a half.
    top, left = (round((n - 56) / 2) for n in resized)
    np.testing.assert_allclose(found, whole[top : top + 56, left : left + 56], atol=5e-5)


def test_defaults_are_those_of_dinov3(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "DINOv3ViTImageProcessorFast"})
    )
    image = noise(100, 80)
    found = load_preprocess(tmp_path, None)(image, True)
    np.testing.assert_allclose(found, torchs(image, 224, 224), atol=5e-5)
