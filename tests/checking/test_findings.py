"""What `jepa-jax check` finds: parity where there is parity, and none where weights differ."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from checkpoints import VARIANTS, randomized, write
from command_line import invoke
from PIL import Image
from safetensors.numpy import load_file, save_file

from jepa_jax import load_encoder
from jepa_jax.checking import check
from jepa_jax.checking.findings import sample_images
from jepa_jax.checking.reference import load_reference

PARITY = {"hidden layers", "score by Listing 1", "rank"}


def noise(size=(60, 70)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))


@pytest.fixture(scope="module", params=["dinov2", "clip"])
def folder(request, tmp_path_factory):
    variant = VARIANTS[request.param]
    return write(randomized(variant), variant.processor, tmp_path_factory.mktemp(request.param))


def test_a_right_port_is_found_to_be_one(folder):
    found = {finding.name: finding for finding in check(load_encoder(folder), [noise()])}
    assert {name for name, f in found.items() if f.status == "failed"} == set()
    assert {name for name, f in found.items() if f.status == "ok"} >= PARITY | {"preprocessing"}
    assert "1 images, largest difference 0" in found["preprocessing"].measured
    null = {"clip": "none of projected", "dinov2": "2 in closed form"}
    name = "clip" if "clip" in folder.name else "dinov2"
    assert null[name] in found["null directions"].measured
    assert "exact takes" in found["method to ask for"].measured
    assert found["score by Listing 1"].expected == "at most 1e-08, float64"


def test_which_positions_transformers_resizes_in_float32(folder):
    """DINOv2's, at another size than they are stored for."""
    own, other = (load_reference(load_encoder(folder, image_size=size)) for size in (56, 28))
    assert not own.resizes_in_float32
    assert other.resizes_in_float32 == ("dinov2" in folder.name)


def test_other_weights_are_found_out(folder, tmp_path):
    """The encoder is one checkpoint, and PyTorch reads another in its place."""
    if "clip" in folder.name:
        pytest.skip("one family will do")
    other = shutil.copytree(folder, tmp_path / "other")
    encoder = load_encoder(other)
    weights = load_file(other / "model.safetensors")
    name = next(n for n in weights if "layer.1" in n and n.endswith("fc2.weight"))
    weights[name] = 1.01 * weights[name]
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    found = {}
    for finding in check(encoder, [noise()]):
        found[finding.name] = finding.status
        if finding.name == "score by Listing 1":
            break
    assert found["hidden layers"] == "failed"


def test_without_pytorch_what_is_not_checked_is_said():
    """In a process of its own: those that tests start have no PyTorch."""
    command = [sys.executable, "-m", "jepa_jax", "check", "embedded", "--limit", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not checked: hidden layers, score by Listing 1" in " ".join(done.stderr.split())
    assert "no PyTorch model by transformers here" in " ".join(done.stdout.split())
    assert "null directions: 2 in closed form" in " ".join(done.stdout.split())


def test_the_command_ends_with_1_where_something_failed(monkeypatch):
    from jepa_jax.checking import findings

    bad = findings.Finding("hidden layers", "3 layers within 1e+06 u", "at most 25", "failed")
    monkeypatch.setattr(findings, "check", lambda *given, **more: iter([bad]))
    result = invoke("check", "embedded")
    assert result.exit_code == 1
    assert "FAILED hidden layers:" in " ".join(result.stdout.split())
    assert "do not trust its scores" in result.stderr


def test_without_images(encoder):
    with pytest.raises(ValueError, match="no images to check with"):
        list(check(encoder, []))
    assert len(sample_images()) > 10
