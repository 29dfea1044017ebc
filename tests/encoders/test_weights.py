"""Weights: plain numbers, all finite, in memory that is there; else an error before and by name."""

import json
import shutil
import types

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jepa_jax import load_encoder
from jepa_jax.encoders.loading import EMBEDDED

QUERY = "encoder.layer.0.attention.attention.query.weight"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(EMBEDDED, tmp_path / "checkpoint")


def change(folder, edit):
    tensors = load_file(folder / "model.safetensors")
    tensors = edit(tensors) or tensors
    save_file(tensors, folder / "model.safetensors")


def parameters(folder, **settings):
    import jax

    return jax.tree.leaves(load_encoder(folder, **settings).state)


def as_type(dtype):
    return lambda tensors: {name: tensor.to(dtype) for name, tensor in tensors.items()}


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_plain_numbers_of_8_bits_are_taken_as_they_stand(folder, tmp_path, dtype):
    rounded = shutil.copytree(folder, tmp_path / "rounded")
    change(rounded, lambda t: as_type(torch.float32)(as_type(dtype)(t)))
    change(folder, as_type(dtype))
    for found, expected in zip(parameters(folder), parameters(rounded), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_some_tensors_of_8_bits_in_shards(folder, tmp_path):
    change(folder, lambda t: t.update({QUERY: t[QUERY].to(torch.float8_e4m3fn)}))
    expected = parameters(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    where = {name: f"model-{names.index(name) % 2}.safetensors" for name in names}
    for file in set(where.values()):
        save_file({n: t for n, t in tensors.items() if where[n] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    for found, value in zip(parameters(folder), expected, strict=True):
        np.testing.assert_array_equal(found, value)


def scaled(tensors):
    """As quantisation to 8 bits does it: the largest weight becomes the largest number."""
    scale = tensors[QUERY].abs().max() / 448
    tensors[QUERY] = (tensors[QUERY] / scale).to(torch.float8_e4m3fn)
    return scale


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.update({QUERY: t[QUERY].to(torch.int8)}), rf"{QUERY} I8"),
        (lambda t: t.update({QUERY: t[QUERY].to(torch.uint8)}), rf"{QUERY} U8"),
        (lambda t: t.update({QUERY: t[QUERY] > 0}), rf"{QUERY} BOOL"),
        (lambda t: t.update({QUERY: t[QUERY].to(torch.complex64)}), rf"{QUERY} C64"),
        (lambda t: t.update({f"{QUERY}_scale": scaled(t)}), "1 left over: .*weight_scale"),
        (lambda t: t.update({f"{QUERY}_scale_inv": scaled(t)}), "1 left over: .*weight_scale_inv"),
        (lambda t: scaled(t) and None, rf"{QUERY} reaches 448, the end of F8_E4M3"),
    ],
)
def test_a_quantised_checkpoint_is_refused_in_words(folder, edit, message):
    change(folder, edit)
    with pytest.raises(ValueError, match=rf"(?s){message}.*quantised checkpoint"):
        load_encoder(folder)


def test_whole_numbers_that_are_not_of_the_encoder_are_passed_over(folder):
    change(folder, lambda t: t.update({"classifier.weight": torch.ones(2, dtype=torch.int8)}))
    load_encoder(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_names_its_tensor(folder, dtype, value):
    def edit(tensors):
        tensors[QUERY][3, 5] = value
        return as_type(dtype)(tensors)

    change(folder, edit)
    with pytest.raises(ValueError, match=rf"model\.safetensors: {QUERY} has NaN or infinity"):
        load_encoder(folder)


def test_a_weight_that_the_type_in_memory_does_not_hold(folder):
    change(folder, lambda t: t[QUERY].__setitem__((3, 5), 1e6) or t)
    load_encoder(folder)
    with pytest.raises(ValueError, match=rf"{QUERY} has values that float16 does not hold"):
        load_encoder(folder, dtype=jnp.float16)


def test_parameters_beyond_the_memory_are_refused_before_they_are_read(folder, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: types.SimpleNamespace(available=800_000))
    load_encoder(folder, dtype=jnp.bfloat16)  # 211,200 of them, of two bytes.
    with pytest.raises(
        ValueError, match=r"the parameters take 0\.000845 GB as float32, 0\.0008 GB"
    ):
        load_encoder(folder)


def test_v_jepa_2_1_under_another_configuration_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    weights["patch_embed_img.proj.weight"] = weights.pop(min(weights))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"the tensors of V-JEPA 2\.1: `model_type`"):
        load_encoder(folder)


def test_an_encoder_within_something_else_is_said_to_be_there(folder):
    change(folder, lambda t: {f"student.backbone.{name}": x for name, x in t.items()})
    with pytest.raises(ValueError, match=r"all of them are there under 'student\.backbone\.'"):
        load_encoder(folder)


def test_names_of_a_live_model_are_said_to_be_others(folder):
    change(folder, lambda t: {n.replace("attention.attention", "att"): x for n, x in t.items()})
    with pytest.raises(ValueError, match="as many are left over as are missing"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (jnp.float64, r"`dtype` float64 needs 64-bit JAX.*jax\.enable_x64"),
        ("float64", r"`dtype` float64 needs 64-bit JAX"),
        (jnp.int8, r"`dtype` must be one of float32, float64, bfloat16, float16, got"),
        (jnp.float8_e4m3fn, "`dtype` must be one of float32"),
        ("single-ish", "`dtype` must be one of float32.*got 'single-ish'"),
    ],
)
def test_a_type_that_parameters_do_not_get(dtype, message):
    with pytest.raises(ValueError, match=message):
        load_encoder("embedded", dtype=dtype)


@pytest.mark.usefixtures("x64")
def test_float64_is_float64_where_jax_has_it():
    assert {leaf.dtype for leaf in parameters("embedded", dtype=jnp.float64)} == {
        np.dtype(np.float64)
    }


INDEX = "must be names of tensors with names of .safetensors files"


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, f"`weight_map` {INDEX}, got nothing"),
        ({"weight_map": None}, f"`weight_map` {INDEX}, got null"),
        ({"weight_map": {}}, f"`weight_map` {INDEX}, got {{}}"),
        ({"weight_map": ["model.safetensors"]}, f"`weight_map` {INDEX}, got ["),
        ({"weight_map": {"a": 5}}, f"`weight_map` {INDEX}, got 5"),
        ({"weight_map": {"a": "pytorch_model.bin"}}, f"`weight_map` {INDEX}, got 'pytorch_model"),
        ({"weight_map": {"a": "../x.safetensors"}}, f"`weight_map` {INDEX}, got '../x"),
        ({"weight_map": {"a": "/etc/x.safetensors"}}, f"`weight_map` {INDEX}, got '/etc"),
        ([], "must hold a JSON object, got []"),
    ],
)
def test_an_index_that_is_none_is_refused_by_name(folder, index, message):
    (folder / "model.safetensors").rename(folder / "x.safetensors")
    file = folder / "model.safetensors.index.json"
    file.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"index\.json") as error:
        load_encoder(folder)
    assert f"{file}: {message}" in str(error.value)
