"""Preprocessing: the checkpoint's own processor, whichever file says it, and no code of its own."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest
import torch
from checkpoints import CROPPED, SQUEEZED, VARIANTS, randomized, write
from PIL import Image
from transformers import AutoImageProcessor, CLIPImageProcessorPil

from jepa_jax import load_encoder
from jepa_jax.encoders.pillow_processor import CLASSES
from jepa_jax.encoders.preprocessing import load_preprocess

UNCROPPED = CROPPED | {"do_center_crop": False, "size": {"shortest_edge": 42}}


def noise(width, height):
    values = np.random.default_rng(width + height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def processor_folder(folder, settings, name="preprocessor_config.json"):
    folder.mkdir()
    (folder / name).write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dinov2")
    return write(randomized(VARIANTS["dinov2"]), UNCROPPED, folder)


@pytest.mark.parametrize("size", [(64, 64), (200, 80), (80, 200), (57, 300), (9, 9), (56, 56)])
@pytest.mark.parametrize(
    "settings",
    [
        CROPPED,
        SQUEEZED,
        CROPPED | {"resample": 2, "image_processor_type": "CLIPImageProcessor"},
        CROPPED | {"size": {"height": 70, "width": 60}},
        CROPPED | {"size": {"shortest_edge": 64, "longest_edge": 90}},
        CROPPED | {"size": {"shortest_edge": 90, "longest_edge": 91}},
        CROPPED | {"do_resize": False},
        CROPPED | {"do_resize": False, "do_center_crop": False, "do_rescale": False},
        CROPPED | {"do_normalize": False, "rescale_factor": 0.1},
        CROPPED | {"image_mean": 0.4, "image_std": 0.3},
        *({"image_processor_type": name, "size": 30, "crop_size": 29} for name in CLASSES),
    ],
)
def test_pixels_are_those_of_the_processor(tmp_path, settings, size):
    folder = processor_folder(tmp_path / "p", settings)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    expected = processor(noise(*size), return_tensors="np")["pixel_values"][0]
    found = load_preprocess(folder, None)(noise(*size), True)
    np.testing.assert_array_equal(found, expected.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("settings", "cut"),
    [
        (CROPPED, "centre"),
        (SQUEEZED, "none"),
        (CROPPED | {"size": {"height": 70, "width": 60}}, "other"),
        (CROPPED | {"size": {"shortest_edge": 64, "longest_edge": 90}}, "other"),
        (CROPPED | {"do_resize": False}, "other"),
        (UNCROPPED, "remainder"),
    ],
)
def test_where_an_input_lies_in_its_image(tmp_path, settings, cut):
    plain = {"do_normalize": False, "do_rescale": False}
    folder = processor_folder(tmp_path / "p", settings | plain)
    preprocess = load_preprocess(folder, None, patch=14)
    placement = preprocess.placement
    assert placement["cut"] == cut
    if cut == "other":
        return
    # Grey levels that say where a pixel was: across, and down.
    width, height = 200, 120
    across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    levels = np.stack([across, down, 0 * across], -1).round().astype(np.uint8)
    found = preprocess(Image.fromarray(levels), True)
    scale = height / placement["short_edge"] if cut != "none" else 1
    side = placement["side"] * scale
    left, top, right, bottom = {
        "centre": (
            (width - side) / 2,
            (height - side) / 2,
            (width + side) / 2,
            (height + side) / 2,
        ),
        "none": (0, 0, width, height),
        # 42 x 70 pixels: patches of 14 leave nothing over.
        "remainder": (0, 0, width, height),
    }[cut]
    step = (right - left) / found.shape[1], (bottom - top) / found.shape[0]
    # Half a pixel of the input and one of the image, for rounding.
    for value, expected, pixel in (
        (found[0, 0, 0], left + step[0] / 2, step[0]),
        (found[0, 0, 1], top + step[1] / 2, step[1]),
        (found[-1, -1, 0], right - step[0] / 2, step[0]),
        (found[-1, -1, 1], bottom - step[1] / 2, step[1]),
    ):
        assert value == pytest.approx(expected, abs=pixel / 2 + 1)


def test_no_array_of_the_whole_image_is_made(tmp_path):
    preprocess, image = (
        load_preprocess(processor_folder(tmp_path / "p", CROPPED), None),
        noise(900, 700),
    )
    preprocess(image, True)
    tracemalloc.start()
    preprocess(image, True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 900 * 700


def test_a_processor_config_alone_is_read_and_is_in_the_fingerprint(checkpoint, tmp_path):
    old = shutil.copytree(checkpoint, tmp_path / "old")
    (old / "preprocessor_config.json").write_text(json.dumps(CROPPED))
    new = shutil.copytree(old, tmp_path / "new")
    (new / "preprocessor_config.json").unlink()
    (new / "processor_config.json").write_text(json.dumps({"image_processor": CROPPED}))
    one, other = load_encoder(old), load_encoder(new)
    np.testing.assert_array_equal(one.preprocess(noise(90, 70)), other.preprocess(noise(90, 70)))
    changed = CROPPED | {"image_mean": [0.5, 0.5, 0.5]}
    (new / "processor_config.json").write_text(json.dumps({"image_processor": changed}))
    assert len({one.fingerprint, other.fingerprint, load_encoder(new).fingerprint}) == 3


def test_what_a_clip_processor_of_version_5_writes(tmp_path):
    settings = CLIPImageProcessorPil(size={"shortest_edge": 64}).to_dict()
    folder = tmp_path / "p"
    content = {"image_processor": settings, "processor_class": "CLIPProcessor"}
    processor_folder(folder, content, "processor_config.json")
    assert load_preprocess(folder, None)(noise(90, 70), True).shape == (224, 224, 3)


def test_both_files_are_taken_as_transformers_takes_them(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "both")
    only = load_encoder(folder)
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": "X"}))
    assert load_encoder(folder).fingerprint == only.fingerprint
    squeezed = {"image_processor": SQUEEZED}
    (folder / "processor_config.json").write_text(json.dumps(squeezed))
    found = load_encoder(folder)
    assert found.fingerprint != only.fingerprint
    assert found.preprocess(noise(90, 70)).shape == (56, 56, 3)


def test_a_processor_config_without_an_image_processor_is_none(tmp_path):
    folder = processor_folder(tmp_path / "p", {"processor_class": "X"}, "processor_config.json")
    with pytest.raises(FileNotFoundError, match=r"no preprocessor_config\.json, nor an image"):
        load_preprocess(folder, None)


def test_code_of_a_checkpoint_is_neither_run_nor_asked_about(tmp_path, monkeypatch):
    settings = CROPPED | {
        "image_processor_type": "OwnProcessor",
        "auto_map": {"AutoImageProcessor": "own.OwnProcessor"},
    }
    folder = processor_folder(tmp_path / "p", settings)
    (folder / "own.py").write_text("raise SystemExit('the code of the checkpoint was run')")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    with pytest.raises(ValueError, match="code"):
        load_preprocess(folder, None)


@pytest.mark.parametrize("size", [(42, 42), (100, 60), (60, 100), (64, 70), (300, 42)])
def test_without_a_crop_inputs_are_what_the_model_sees_of_them(checkpoint, size):
    encoder = load_encoder(checkpoint)
    processor = AutoImageProcessor.from_pretrained(checkpoint, backend="pil")
    pixels = processor(noise(*size), return_tensors="pt")["pixel_values"]
    model = randomized(VARIANTS["dinov2"])
    with torch.no_grad():
        expected = VARIANTS["dinov2"].embedding(model, pixels).numpy()[0]
    image = encoder.preprocess(noise(*size))
    assert image.shape[0] % 14 == image.shape[1] % 14 == 0
    found = np.asarray(encoder.embed(encoder.state, image))
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_an_image_size_makes_squares_of_them(checkpoint):
    encoder = load_encoder(checkpoint, image_size=56)
    assert encoder.preprocess(noise(300, 60)).shape == (56, 56, 3)


def test_inputs_far_larger_than_usual_and_smaller_than_a_patch_are_refused(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="at most 16 times 42 x 42 expected"):
        load_encoder(checkpoint).preprocess(noise(800, 42))
    folder = shutil.copytree(checkpoint, tmp_path / "unresized")
    settings = UNCROPPED | {"do_resize": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="200 x 2 pixels is smaller than a patch of 14"):
        load_encoder(folder).preprocess(noise(200, 2))
