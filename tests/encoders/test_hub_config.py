"""config.json: every value that cannot be is refused by name, at once."""

import json
import shutil
import time

import pytest
from checkpoints import VARIANTS

from jepa_jax import load_encoder
from jepa_jax.encoders.loading import EMBEDDED, read_config

DINOV2 = {"model_type": "dinov2"}


@pytest.fixture(scope="module", autouse=True)
def imported():
    """What is imported at the first is not timed."""
    load_encoder("embedded")


def refusal(tmp_path, text):
    """What `load_encoder` says of the embedded checkpoint with this config.json."""
    folder = shutil.copytree(EMBEDDED, tmp_path / "checkpoint", dirs_exist_ok=True)
    (folder / "config.json").write_bytes(text.encode() if isinstance(text, str) else text)
    start = time.process_time()
    with pytest.raises(ValueError, match=r"config\.json") as error:
        load_encoder(folder)
    assert time.process_time() - start < 60  # Or it would be hours.
    return str(error.value)


NUMBER = "must be a whole number from 1 to"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hidden_size", "0", f"{NUMBER} 1000000, got 0"),
        ("hidden_size", "-64", f"{NUMBER} 1000000, got -64"),
        ("hidden_size", "null", f"{NUMBER} 1000000, got null"),
        ("hidden_size", '"64"', f"{NUMBER} 1000000, got '64'"),
        ("hidden_size", "64.0", f"{NUMBER} 1000000, got 64.0"),
        ("hidden_size", "1e308", f"{NUMBER} 1000000, got 1e+308"),
        ("hidden_size", "1e999", f"{NUMBER} 1000000, got inf"),
        ("hidden_size", "true", f"{NUMBER} 1000000, got true"),
        ("hidden_size", "[64]", rf"{NUMBER} 1000000, got [64]"),
        ("hidden_size", "65", "must be a multiple of `num_attention_heads`, got 65 and 4"),
        ("hidden_size", "9" * 30, f"{NUMBER} 1000000, got 99"),
        ("num_attention_heads", "0", f"{NUMBER} 1000000, got 0"),
        ("num_hidden_layers", "100000000", f"{NUMBER} 1000, got 100000000"),
        ("num_channels", "1", "must be 3, the channels of RGB, got 1"),
        ("image_size", "[28, 56]", f"{NUMBER} 4096, or a pair of the same, got [28, 56]"),
        ("image_size", "[28, 28, 28]", f"{NUMBER} 4096, or a pair of the same, got [28, 28, 28]"),
        ("image_size", "30", "must be a multiple of `patch_size`, got 30 and 7"),
        ("patch_size", "0", f"{NUMBER} 4096, or a pair of the same, got 0"),
        ("layer_norm_eps", "null", "must be a number above 0, at most 1, got null"),
        ("layer_norm_eps", "NaN", "must be a number above 0, at most 1, got nan"),
        ("layer_norm_eps", "-1e-6", "must be a number above 0, at most 1, got -1e-06"),
        ("mlp_ratio", "Infinity", "must be a number above 0, at most 100, got inf"),
        ("hidden_act", '"swish"', "must be one of gelu, gelu_new, "),
        ("qkv_bias", "1", "must be a valid boolean, got 1"),
        ("model_type", "[]", r"must be one of dinov2 (DINOv2), "),
        ("auto_map", '{"AutoModel": "own.Model"}', "asks for code that comes with the checkpoint"),
        ("quantization_config", '{"quant_method": "x"}', "says that the weights are quantised"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(tmp_path, field, value, message):
    stated = json.loads((EMBEDDED / "config.json").read_text()) | {field: None}
    text = json.dumps(stated).replace(f'"{field}": null', f'"{field}": {value}')
    found = refusal(tmp_path, text)
    assert f"config.json: `{field}` {message}" in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not valid JSON"),
        ('{"model_type": "dinov2"', "is not valid JSON"),
        ("[]", r"must hold a JSON object, got []"),
        ("null", "must hold a JSON object, got null"),
        (b'\xff{"model_type": "dinov2"}', "is not valid JSON"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "is not valid JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"hidden_size": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply"),
        ('{"hidden_size": ' + '{"a": ' * 200_000 + "1" + "}" * 200_001, "nested too deeply"),
        ('{"a": "' + "a" * (17 << 20) + '"}', "bytes, at most 16777216 expected"),
    ],
    ids=range(10),
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text, message):
    assert message in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("model_type", "loads"),
    [
        ("siglip2", "google/siglip2-base-patch16-224, load"),
        ("data2vec-vision", "facebook/dinov2-* load"),
        ("dinov3_convnext", "(facebook/dinov3-vit*) loads"),
    ],
)
def test_what_is_known_and_not_loaded_is_answered_by_what_is(tmp_path, model_type, loads):
    said = refusal(tmp_path, json.dumps({"model_type": model_type}))
    assert f"`model_type` '{model_type}' is not loaded: " in said
    assert said.endswith(loads)


def test_every_field_at_fault_is_named(tmp_path):
    found = refusal(tmp_path, json.dumps(DINOV2 | {"hidden_size": 0, "num_hidden_layers": "4"}))
    assert "`hidden_size` must be" in found
    assert "`num_hidden_layers` must be" in found


@pytest.mark.parametrize(
    ("hub", "message"),
    [
        ({"vision_config": {"hidden_size": 0}}, r"`vision_config\.hidden_size` must be a whole"),
        ({"vision_config": []}, r"`vision_config` must be .*got \[\]"),
        ({"projection_dim": None}, "`projection_dim` must be a whole number"),
    ],
)
def test_a_field_within_a_field_is_named_with_it(tmp_path, hub, message):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"} | hub))
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path / "config.json")


def test_a_depth_that_the_weights_do_not_have(tmp_path):
    stated = json.loads((EMBEDDED / "config.json").read_text()) | {"num_hidden_layers": 1000}
    found = refusal(tmp_path, json.dumps(stated))
    # 18 tensors a block; twenty are listed.
    assert f"{996 * 18} missing: encoder.layer.10.attention" in found
    assert f", and {996 * 18 - 20} more" in found
    assert len(found) < 3000


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_transformers_writes_is_read(tmp_path, variant):
    VARIANTS[variant].model().config.save_pretrained(tmp_path)
    _, config = read_config(tmp_path / "config.json")
    assert (config.width, config.depth, config.heads) == (48, 2, 4)
    assert (config.image_size, config.patch_size) == (56, 14)
