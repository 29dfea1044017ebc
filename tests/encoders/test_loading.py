"""Loading: strict about weights, clear about names, found where they are."""

import json
import shutil
from typing import Any

import jax
import numpy as np
import pytest
import torch
from checkpoints import CROPPED, VARIANTS, pixels, randomized, write
from safetensors.torch import load_file, save_file

from jepa_jax import load_encoder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dinov2")
    return write(randomized(VARIANTS["dinov2"]), CROPPED, folder)


@pytest.fixture
def folder(source, tmp_path):
    return shutil.copytree(source, tmp_path / "copy")


def change(folder, edit):
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def embedding(encoder, size=56):
    return np.asarray(jax.jit(encoder.embed)(encoder.state, pixels(size)[0]))


def test_every_misfit_is_listed(folder):
    def edit(tensors):
        del tensors["layernorm.bias"]
        del tensors["encoder.layer.0.norm1.weight"]
        tensors["decoder.weight"] = torch.zeros(3)
        tensors["encoder.layer.1.mlp.fc1.weight"] = torch.zeros(5, 6)

    change(folder, edit)
    with pytest.raises(ValueError, match="do not fit") as error:
        load_encoder(folder)
    text = str(error.value)
    assert "2 missing: encoder.layer.0.norm1.weight, layernorm.bias" in text
    assert "1 left over: decoder.weight" in text
    assert "encoder.layer.1.mlp.fc1.weight (5, 6), expected (192, 48)" in text


def test_the_mask_token_and_a_classifier_are_not_the_encoder(folder):
    reference = embedding(load_encoder(folder))
    change(folder, lambda t: t.update({"classifier.weight": torch.zeros(2, 2)}))
    np.testing.assert_array_equal(embedding(load_encoder(folder)), reference)
    change(folder, lambda t: t.pop("embeddings.mask_token"))
    np.testing.assert_array_equal(embedding(load_encoder(folder)), reference)


def test_names_with_a_prefix(folder):
    reference = embedding(load_encoder(folder))
    tensors = load_file(folder / "model.safetensors")
    save_file({f"dinov2.{k}": v for k, v in tensors.items()}, folder / "model.safetensors")
    np.testing.assert_array_equal(embedding(load_encoder(folder)), reference)


def test_shards_are_one_checkpoint(folder, tmp_path):
    sharded = write(randomized(VARIANTS["dinov2"]), CROPPED, tmp_path / "s", max_shard_size="100KB")
    assert len(list(sharded.glob("*.safetensors"))) > 1
    np.testing.assert_array_equal(embedding(load_encoder(sharded)), embedding(load_encoder(folder)))
    next(sharded.glob("model-00001-*")).unlink()
    with pytest.raises(FileNotFoundError, match="names files that are not there"):
        load_encoder(sharded)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_disk_is_float32_in_memory(folder, dtype):
    reference = embedding(load_encoder(folder))
    tensors = load_file(folder / "model.safetensors")
    save_file({k: v.to(dtype) for k, v in tensors.items()}, folder / "model.safetensors")
    found = embedding(load_encoder(folder))
    assert found.dtype == np.float32
    # bfloat16 weights are off by up to 2^-9 each; the embedding stays near, and is not the same.
    assert 0 < np.abs(found - reference).max() < 0.1 * np.abs(reference).max()


def test_an_unknown_family_lists_the_known_ones(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(ValueError, match=r"dinov2 \(DINOv2\).*ijepa.*clip.*got 'bert'"):
        load_encoder(folder)


def test_offline_from_the_hubs_cache(source, tmp_path, monkeypatch):
    snapshot = tmp_path / "models--facebook--dinov2-tiny" / "snapshots" / "0123abc"
    shutil.copytree(source, snapshot)
    refs = tmp_path / "models--facebook--dinov2-tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0123abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    encoder = load_encoder("facebook/dinov2-tiny")
    assert encoder.name == "facebook/dinov2-tiny"
    np.testing.assert_array_equal(embedding(encoder), embedding(load_encoder(source)))
    with pytest.raises(FileNotFoundError, match="not in the hub's cache"):
        load_encoder("facebook/dinov2-absent")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-thing", "neither a folder, nor 'embedded', nor a hub name"),
        ("./no/such/folder", "neither a folder"),
    ],
)
def test_a_wrong_name(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        load_encoder(name)


def test_a_gated_name_says_where_to_ask(monkeypatch):
    from types import SimpleNamespace

    from huggingface_hub.errors import GatedRepoError

    def gated(*args, **settings):
        response: Any = SimpleNamespace(headers={}, request=None)
        raise GatedRepoError("403", response=response)

    monkeypatch.setattr("huggingface_hub.snapshot_download", gated)
    with pytest.raises(
        FileNotFoundError, match=r"https://huggingface\.co/a/b, then `hf auth login`"
    ):
        load_encoder("a/b")


@pytest.mark.parametrize("name", ["lejepa.pth", "epoch=9.ckpt", "pytorch_model.bin"])
def test_a_pickle_is_never_opened_and_the_way_on_is_said(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"is a pickle.*convert it with PyTorch.*save_"):
        load_encoder(tmp_path / name)


@pytest.mark.parametrize(
    "missing", ["config.json", "preprocessor_config.json", "model.safetensors"]
)
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        load_encoder(folder)


def test_of_a_folder_with_a_pickle_that_is_said_first(folder):
    for name in ("preprocessor_config.json", "model.safetensors"):
        (folder / name).unlink()
    (folder / "best.pth").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"but best\.pth: a pickle.*convert it"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embedding": "cls@3"}, "the layer must be between 1 and 2"),
        ({"embedding": "projected"}, "needs a projection"),
        ({"embedding": "median"}, "must be one of 'cls', 'mean', 'projected'"),
        ({"image_size": 50}, "multiples of the patch size 14, got 50 x 50"),
    ],
)
def test_settings_that_the_encoder_cannot_have(folder, settings, message):
    with pytest.raises(ValueError, match=message):
        load_encoder(folder, **settings)


def test_the_fingerprint_is_of_what_defines_the_encoder(folder):
    before = load_encoder(folder).fingerprint
    assert load_encoder(folder, image_size=28).fingerprint == before
    change(folder, lambda t: t["layernorm.bias"].add_(1))
    assert load_encoder(folder).fingerprint != before


def test_image_size_resizes_and_crops(folder):
    from PIL import Image

    # 64 to 56 pixels, as stored, becomes 96 to 84: the same field of view.
    gradient = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 256, 3)))
    small = load_encoder(folder).preprocess(gradient)
    large = load_encoder(folder, image_size=84).preprocess(gradient)
    assert small.shape == (56, 56, 3)
    assert large.shape == (84, 84, 3)
    np.testing.assert_allclose(small.mean((0, 1)), large.mean((0, 1)), atol=0.01)
    np.testing.assert_allclose(small[0, 0], large[0, 0], atol=0.05)


def test_an_elongated_image_is_refused_before_it_is_resized(folder):
    from PIL import Image

    with pytest.raises(ValueError, match="1 x 30000 pixels is too elongated"):
        load_encoder(folder).preprocess(Image.new("RGB", (1, 30000)))


def test_a_damaged_weight_file_is_named(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a complete safetensors file"):
        load_encoder(folder)
