"""timm's layout: every kind against timm, hidden layers and scores; its preprocessing."""

import copy
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from checkpoints import pixels, to_torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm_models import timm_model, write_timm

from jepa_jax import Exact, load_encoder
from jepa_jax.encoders.encoder_jacobian import jacobian_of

UNIT = 2.0**-24
# By name: the architecture, its settings, the rule and its null directions.
MODELS = {
    "dino": ("vit_small_patch16_224", {"patch_size": 14}, "cls", 2),
    "averaged": ("vit_small_patch16_224", {"patch_size": 14, "global_pool": "avg"}, "mean", 2),
    "dinov2": ("vit_small_patch14_reg4_dinov2", {}, "cls", 2),
    "dinov2-giant": ("vit_giant_patch14_dinov2", {}, "cls", 2),
    "ijepa": ("vit_huge_patch14_gap_224", {}, "mean", 1),
    "dinov3": ("vit_small_patch16_dinov3", {"patch_size": 14}, "mean", 1),
    "eupe": ("vit_base_patch16_dinov3_qkvb", {"patch_size": 14}, "mean", 1),
    "dinov3-gated": (
        "vit_small_plus_patch16_dinov3",
        {"patch_size": 14, "global_pool": "token"},
        "cls",
        2,
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def checkpoint(request, tmp_path_factory):
    architecture, settings, rule, null = MODELS[request.param]
    model = timm_model(architecture, dynamic_img_size=True, **settings)
    return model, write_timm(model, tmp_path_factory.mktemp(request.param)), rule, null


def test_hidden_layers_and_embedding_at_two_resolutions(checkpoint):
    model, folder, rule, _ = checkpoint
    encoder = load_encoder(folder)
    assert str(encoder.rule) == rule
    program = jax.jit(lambda s, x: (encoder.hidden_states(s, x), encoder.embed(s, x)))
    for size in (56, 84):
        image = pixels(size)
        with torch.no_grad():
            theirs = model.forward_intermediates(
                to_torch(image),
                return_prefix_tokens=True,
                output_fmt="NLC",
                intermediates_only=True,
            )
            embedding = model(to_torch(image))[0].numpy()
        states, found = program(encoder.state, image[0])
        # As tests/encoders/test_parity.py explains.
        prefix = encoder.config.prefix
        for depth, (ours, b) in enumerate(zip(states[1:], theirs, strict=True)):
            patches, before = b if isinstance(b, tuple) else (b, None)
            scale = np.abs(patches.numpy()).max()
            limit = 25 * UNIT * (depth + 2) * scale
            np.testing.assert_allclose(ours[prefix:], patches[0].numpy(), atol=limit)
            if before is not None and prefix:
                np.testing.assert_allclose(ours[:prefix], before[0].numpy(), atol=limit)
        np.testing.assert_allclose(found, embedding, atol=100 * UNIT * np.abs(embedding).max())


@pytest.mark.usefixtures("x64")
def test_scores_and_null_directions(checkpoint):
    model, folder, _, null = checkpoint
    double, image = copy.deepcopy(model).double(), pixels(56, 1, np.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: double(x).sum(0), to_torch(image))
    jacobian = jacobian.reshape(48, -1).numpy()
    sigma = np.linalg.svd(jacobian, compute_uv=False)
    encoder = load_encoder(folder, dtype=jnp.float64)

    @jax.jit
    def score(state, image):
        operator = jacobian_of(encoder, state, image, chunk=7)
        return Exact()(operator), operator.null_basis

    found, basis = score(encoder.state, image[0])
    assert found.rank == 48 - null
    # Without our null directions: they are null up to LayerNorm's epsilon, which is 1e-5 of a small
    # variance in DINOv3's, and more than 1e-8 of the score.
    live = np.linalg.svd(basis, full_matrices=True)[0][:, null:]
    expected = np.log(np.linalg.svd(live.T @ jacobian, compute_uv=False)).sum()
    np.testing.assert_allclose(found.log_volume, expected, rtol=1e-8)
    assert (sigma[48 - null :] < 2e-2 * sigma[47 - null]).all()
    np.testing.assert_allclose(expected, np.log(sigma[: 48 - null]).sum(), rtol=1e-6)


@pytest.fixture
def folder(tmp_path):
    model = timm_model("vit_small_patch16_224", patch_size=14, depth=1)
    return write_timm(model, tmp_path / "model")


def edited(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def test_preprocessing_is_timms(folder):
    images = {
        "input_size": [3, 56, 56],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
    }
    encoder = load_encoder(edited(folder, pretrained_cfg=images))
    noise = np.random.default_rng(0).integers(0, 256, (100, 80, 3), np.uint8)
    # torchvision's Resize(62), CenterCrop(56), ToTensor and Normalize.
    resized = np.asarray(Image.fromarray(noise).resize((62, 77), Image.Resampling.BICUBIC))
    top, left = round((77 - 56) / 2), round((62 - 56) / 2)
    values = resized[top : top + 56, left : left + 56].astype(np.float32) / 255
    expected = (values - np.float32(images["mean"])) / np.float32(images["std"])
    found = encoder.preprocess(Image.fromarray(noise))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_backbone_with_its_projector(folder):
    tensors = load_file(folder / "model.safetensors")
    expected = load_encoder(folder)
    inner = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
    inner["projector.0.weight"] = torch.zeros(4, 48)
    save_file(inner, folder / "model.safetensors")
    found = load_encoder(folder)
    image = pixels(56)[0]
    program = jax.jit(expected.embed)
    np.testing.assert_array_equal(program(found.state, image), program(expected.state, image))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet50"}, "`architecture` must be one of timm's vit_SIZE_patchN_"),
        ({"architecture": "vit_small_plus_patch16_224"}, "`architecture` must be one of timm's"),
        ({"global_pool": "map"}, "`global_pool` must be 'token' or 'avg', got 'map'"),
        ({"model_args": {"qk_norm": True}}, "`model_args` has qk_norm, which is not known here"),
        ({"pretrained_cfg": {"crop_mode": "border"}}, "crop_mode"),
    ],
)
def test_what_timm_has_and_we_do_not_is_refused_by_name(folder, changes, message):
    with pytest.raises(ValueError, match=r"config\.json") as error:
        load_encoder(edited(folder, **changes))
    assert message in str(error.value)
