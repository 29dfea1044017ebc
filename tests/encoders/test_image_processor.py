"""The image processor's settings: each checked by name; a checkpoint's code never run."""

import builtins
import dataclasses
import io
import json
import shutil
import sys
import time

import pytest
import transformers

from jepa_jax import load_encoder
from jepa_jax.encoders.image_processor import PROCESSORS, Settings, load_processor
from jepa_jax.encoders.loading import EMBEDDED
from jepa_jax.encoders.pillow_processor import PillowProcessor
from jepa_jax.encoders.torchvision_processor import TorchvisionProcessor

STATED = json.loads((EMBEDDED / "preprocessor_config.json").read_text())
LENGTHS = "must be lengths from 1 to 4096 pixels: one, or height and width"


@pytest.fixture(scope="module", autouse=True)
def imported():
    """What is imported at the first is not timed."""
    load_encoder("embedded")


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(EMBEDDED, tmp_path / "checkpoint")


def write(folder, settings, both):
    """The settings, in one file or the other; its name, and what fields have before theirs."""
    if not both:
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        return "preprocessor_config.json", ""
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    return "processor_config.json", "image_processor."


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("size", 20_000, f"{LENGTHS}, or shortest_edge (and longest_edge), got 20000"),
        ("size", {"height": 20_000, "width": 20_000}, f"{LENGTHS}, or shortest_edge"),
        ("size", {"shortest_edge": 10**6}, f"{LENGTHS}, or shortest_edge"),
        ("size", {"shortest_edge": 0}, f"{LENGTHS}, or shortest_edge"),
        ("size", {"shortest_edge": "28"}, f"{LENGTHS}, or shortest_edge"),
        ("size", {"shortest_edge": True}, f"{LENGTHS}, or shortest_edge"),
        ("size", {"height": 28}, f"{LENGTHS}, or shortest_edge"),
        ("size", {"longest_edge": 28}, f"{LENGTHS}, or shortest_edge"),
        ("size", {}, f"{LENGTHS}, or shortest_edge"),
        ("size", "28", f"{LENGTHS}, or shortest_edge"),
        ("size", [28, None], f"{LENGTHS}, or shortest_edge"),
        ("crop_size", {"shortest_edge": 28}, f"{LENGTHS}, got {{'shortest_edge': 28}}"),
        ("crop_size", -28, f"{LENGTHS}, got -28"),
        ("resample", 6, "must be a filter of Pillow, 0 to 5, got 6"),
        ("resample", "bicubic", "must be a filter of Pillow, 0 to 5, got 'bicubic'"),
        ("image_mean", [0.5, 0.5], "must be a number from -10000 to 10000, or three, got [0.5"),
        ("image_mean", "x", "must be a number from -10000 to 10000, or three, got 'x'"),
        ("image_mean", [0.5, None, 0.5], "must be a number from -10000 to 10000, or three"),
        ("image_std", 0, "must be a number from 1e-4 to 10000, or three, got 0"),
        ("image_std", [0.5, 0.5, 1e-308], "must be a number from 1e-4 to 10000, or three"),
        ("rescale_factor", float("inf"), "must be from 1e-6 to 1000, got inf"),
        ("rescale_factor", 0, "must be from 1e-6 to 1000, got 0"),
        ("do_normalize", "yes", "must be true or false, got 'yes'"),
        ("do_center_crop", 1, "must be true or false, got 1"),
        ("do_pad", True, "must be false: inputs are not padded, got true"),
        ("image_processor_type", "Own", "must be one of BitImageProcessor, BlipImageProcessor, "),
        ("image_processor_type", ["ViT"], "must be one of BitImageProcessor, "),
        ("feature_extractor_type", 5, "must be one of BitImageProcessor, "),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(folder, field, value, message, both):
    name, before = write(folder, STATED | {field: value}, both)
    start = time.process_time()
    with pytest.raises(ValueError, match=r"processor_config\.json") as error:
        load_encoder(folder)
    assert time.process_time() - start < 60  # Or it would be hours.
    assert f"{folder / name}: `{before}{field}` {message}" in str(error.value)


def test_an_input_that_patches_do_not_divide_names_the_file(folder):
    name, _ = write(folder, STATED | {"crop_size": 30}, False)
    with pytest.raises(ValueError, match=rf"{name}: .*multiples of the patch size 7, got 30 x 30"):
        load_encoder(folder)


@pytest.mark.parametrize("content", [{"image_processor": None}, {"image_processor": [STATED]}])
def test_an_image_processor_that_is_no_object(folder, content):
    (folder / "processor_config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"processor_config\.json: `image_processor` must be"):
        load_encoder(folder)


def test_a_crop_of_no_size_is_refused(folder):
    settings = {"image_processor_type": "ViTImageProcessor", "do_center_crop": True}
    write(folder, settings, False)
    with pytest.raises(ValueError, match="`crop_size` must be given where `do_center_crop`"):
        load_encoder(folder)


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_setting_that_a_class_takes_is_read_or_of_no_effect(folder, name):
    write(folder, {"image_processor_type": name}, False)
    processor = load_processor(folder)
    if isinstance(processor, TorchvisionProcessor):  # All that it has is a setting.
        taken = {field.name for field in dataclasses.fields(processor)} - {"as_bytes"}
    else:
        theirs = getattr(transformers, f"{name}Pil")
        taken = theirs.valid_kwargs.__annotations__.keys()
        # What nothing is said of is as there.
        for field in dataclasses.fields(processor):
            own, usual = getattr(processor, field.name), getattr(theirs(), field.name)
            if field.name in ("size", "crop_size") and usual is not None:
                usual = {edge: length for edge, length in dict(usual).items() if length}
            same = tuple(usual) if isinstance(usual, list) else usual
            assert (own or None) == (same or None), field.name
    # How arrays come and go, which images make of their own; and padding, which is refused.
    without_effect = {
        "data_format",
        "device",
        "disable_grouping",
        "image_seq_length",
        "input_data_format",
        "pad_size",
        "return_tensors",
    }
    assert taken - without_effect <= Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ({"image_processor_type": "ViTImageProcessorFast"}, "ViTImageProcessor"),
        ({"feature_extractor_type": "CLIPFeatureExtractor"}, "CLIPImageProcessor"),
        ({}, "BitImageProcessor"),
    ],
)
def test_a_class_by_an_earlier_name_or_by_its_family(folder, stated, found):
    sizes = {"size": 28, "crop_size": 28}
    write(folder, stated | sizes, False)
    assert load_encoder(folder)._preprocess.processor == PillowProcessor.of(found, sizes)


CODE = {"AutoImageProcessor": "own.Own"}


@pytest.mark.parametrize(
    ("settings", "config"),
    [
        ({"image_processor_type": "Own", "auto_map": CODE}, {}),
        ({"image_processor_type": "BitImageProcessor", "auto_map": CODE}, {}),
        ({"image_processor_type": None, "auto_map": CODE}, {}),
        ({"image_processor_type": None, "auto_map": {"AutoFeatureExtractor": "own.Own"}}, {}),
        ({"image_processor_type": "Own"}, {}),
        ({"image_processor_type": None}, {"auto_map": CODE}),
        ({"image_processor_type": None}, {"auto_map": {"AutoConfig": "own.Own"}}),
        ({"auto_map": "own.Own"}, {}),
        ({}, {"model_type": "own", "auto_map": {"AutoModel": "own.Own"}}),
    ],
)
@pytest.mark.parametrize("both", [False, True])
def test_code_of_a_checkpoint_is_never_run_nor_asked_about(
    folder, tmp_path, monkeypatch, settings, config, both
):
    write(folder, STATED | settings, both)
    stated = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(stated))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w').close()\nclass Own: ...")
    answers = io.StringIO("y\n" * 1000)
    monkeypatch.setattr(sys, "stdin", answers)
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("a question was asked"))
    with pytest.raises(ValueError, match=r"auto_map|image_processor_type|model_type"):
        load_encoder(folder)
    assert answers.tell() == 0
    assert not (tmp_path / "run").exists()
