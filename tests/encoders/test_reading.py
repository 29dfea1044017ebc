"""Weights under other names, and weights that are not read."""

import numpy as np
import pytest
from checkpoints import CROPPED, VARIANTS, pixels, randomized, write
from safetensors.torch import load_file, save_file

from jepa_jax import load_encoder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write(randomized(VARIANTS["dinov2"]), CROPPED, tmp_path_factory.mktemp("dinov2"))


@pytest.fixture
def folder(source, tmp_path):
    import shutil

    return shutil.copytree(source, tmp_path / "copy")


def rename(folder, name):
    tensors = load_file(folder / "model.safetensors")
    save_file({name(k): v for k, v in tensors.items()}, folder / "model.safetensors")


def embedding(folder):
    encoder = load_encoder(folder)
    return np.asarray(encoder.embed(encoder.state, pixels(56)[0]))


@pytest.mark.parametrize(
    "name",
    [
        lambda k: f"_orig_mod.{k}",
        lambda k: f"module.{k}",
        lambda k: f"module._orig_mod.{k}",
        lambda k: f"_orig_mod.module.dinov2.{k}",
        lambda k: f"dinov2._orig_mod.{k}",
        lambda k: k.replace("layer.1.", "layer.1._checkpoint_wrapped_module."),
        lambda k: f"module.{k}" if "layer" in k else k,
    ],
)
def test_what_wrappers_put_into_names_is_passed_over(source, folder, name):
    rename(folder, name)
    np.testing.assert_array_equal(embedding(folder), embedding(source))


def test_a_tensor_that_is_there_twice_is_an_error(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["module.layernorm.bias"] = tensors["layernorm.bias"] + 1
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"have layernorm\.bias twice"):
        load_encoder(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-2.bin", "best.pth"])
def test_a_pickle_is_never_opened_and_the_error_says_what_to_do(folder, name):
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(FileNotFoundError, match=rf"{name}: a pickle, .*save_pretrained"):
        load_encoder(folder)


def test_weights_of_other_libraries_are_named(folder):
    (folder / "model.safetensors").rename(folder / "flax_model.msgpack")
    with pytest.raises(FileNotFoundError, match=r"but flax_model\.msgpack: convert it"):
        load_encoder(folder)


def test_a_file_in_a_folders_place(folder):
    with pytest.raises(FileNotFoundError, match="is a file: give the folder that holds it"):
        load_encoder(folder / "model.safetensors")
