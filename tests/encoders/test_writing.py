import errno

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

from jepa_jax import load_encoder
from jepa_jax.encoders.families import find_family
from jepa_jax.encoders.writing import stored_parameters, write_checkpoint
from jepa_jax.training.config import Training
from jepa_jax.training.hub_configs import preprocessor_config
from jepa_jax.training.trainer import initial_model

PREPROCESSOR_CONFIG = preprocessor_config(Training.read("embedded"))
_SHAPE = {
    "image_size": 28,
    "patch_size": 7,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
_DINOV2 = _SHAPE | {"model_type": "dinov2", "mlp_ratio": 2, "use_mask_token": False}
_CLIP = _SHAPE | {"hidden_act": "quick_gelu"}
_TIMM = {"embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": 28, "no_embed_class": False}
CONFIGS = {
    "dinov2": _DINOV2,
    "dinov2-no-qkv-bias": _DINOV2 | {"qkv_bias": False},
    "dinov2-registers-swiglu": _DINOV2
    | {"model_type": "dinov2_with_registers", "num_register_tokens": 3, "use_swiglu_ffn": True},
    "ijepa": _SHAPE | {"model_type": "ijepa"},
    "vit": _SHAPE | {"model_type": "vit", "qkv_bias": True},
    "dinov3-gated": _SHAPE
    | {"model_type": "dinov3_vit", "use_gated_mlp": True, "query_bias": False, "value_bias": False},
    "timm": {"architecture": "vit_small_patch14_reg4_dinov2", "model_args": _TIMM},
    "clip": {"model_type": "clip", "projection_dim": 12, "vision_config": _CLIP},
    "clip-tower": _CLIP | {"model_type": "clip_vision_model"},
}


def model_of(hub):
    # The identity's ones and zeros would hide an exchange: every parameter gets its own numbers.
    model = initial_model(find_family(hub).config(hub), jax.random.key(0))
    graph, state = nnx.split(model)
    leaves, tree = jax.tree.flatten(state)
    rng = np.random.default_rng(0)
    leaves = [jax.numpy.asarray(rng.normal(size=x.shape, scale=0.3), x.dtype) for x in leaves]
    return nnx.merge(graph, jax.tree.unflatten(tree, leaves))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_written_checkpoint_loads_as_it_was(name, tmp_path):
    hub = CONFIGS[name]
    model = model_of(hub)
    write_checkpoint(tmp_path / "new", hub, PREPROCESSOR_CONFIG, model)
    encoder = load_encoder(tmp_path / "new")
    expected, found = nnx.state(model), encoder.state
    assert jax.tree.structure(expected) == jax.tree.structure(found)
    jax.tree.map(np.testing.assert_array_equal, expected, found)


@pytest.mark.parametrize("name", CONFIGS)
def test_disassembling_is_the_inverse_of_assembling(name):
    for stored in stored_parameters(CONFIGS[name]).values():
        rng = np.random.default_rng(0)
        theirs = [rng.random(shape) for shape in stored.shapes.values()]
        for before, after in zip(theirs, stored.disassemble(stored.assemble(*theirs)), strict=True):
            np.testing.assert_array_equal(before, after)


def test_a_configuration_of_another_shape_is_refused(tmp_path):
    model = model_of(CONFIGS["dinov2"])
    for change, pattern in (
        ({"num_hidden_layers": 3}, r"differ in the parameters \['blocks\.2"),
        ({"patch_size": 14}, "does not fit|of shape"),
        ({"model_type": "ijepa"}, "differ in the parameters"),
    ):
        with pytest.raises(ValueError, match=pattern):
            write_checkpoint(tmp_path, CONFIGS["dinov2"] | change, PREPROCESSOR_CONFIG, model)
    assert not list(tmp_path.iterdir())


def test_a_bias_that_is_not_stored_must_be_zero(tmp_path):
    hub = _SHAPE | {"model_type": "dinov3_vit"}
    with pytest.raises(ValueError, match=r"`blocks\.0\.attention\.qkv\.bias` \(48,\) does not fit"):
        write_checkpoint(tmp_path, hub, PREPROCESSOR_CONFIG, model_of(hub))


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("dinov2", "Dinov2Model"),
        ("dinov2-registers-swiglu", "Dinov2WithRegistersModel"),
        ("ijepa", "IJepaModel"),
        ("clip-tower", "CLIPVisionModel"),
    ],
)
def test_transformers_loads_what_was_written(name, cls, tmp_path):
    torch = pytest.importorskip("torch")
    import transformers

    write_checkpoint(tmp_path, CONFIGS[name], PREPROCESSOR_CONFIG, model_of(CONFIGS[name]))
    options = {"add_pooling_layer": False} if name == "ijepa" else {}
    theirs, info = getattr(transformers, cls).from_pretrained(
        tmp_path, output_loading_info=True, **options
    )
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    # Of the pretraining only, not of the encoder; this class makes one whatever its config says.
    absent = {"embeddings.mask_token"} if cls == "Dinov2WithRegistersModel" else set()
    assert info["missing_keys"] == absent

    ours = load_encoder(tmp_path)
    image = np.random.default_rng(1).normal(size=(28, 28, 3)).astype(np.float32)
    with torch.no_grad():
        output = theirs(torch.from_numpy(image.transpose(2, 0, 1)[None]))
    if name == "clip-tower":
        expected = output.pooler_output[0]
    elif name == "ijepa":
        expected = output.last_hidden_state[0].mean(0)
    else:
        expected = output.last_hidden_state[0, 0]
    found = jax.jit(ours.embed)(ours.state, image)
    # float32 rounding over two blocks, relative to coordinates of order one.
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_every_tensor_is_contiguous_in_the_file(tmp_path):
    write_checkpoint(tmp_path, CONFIGS["dinov2"], PREPROCESSOR_CONFIG, model_of(CONFIGS["dinov2"]))
    tensors = load_file(tmp_path / "model.safetensors")
    assert tensors["encoder.layer.1.mlp.fc1.weight"].shape == (32, 16)
    assert len(tensors) == sum(len(s.shapes) for s in stored_parameters(CONFIGS["dinov2"]).values())


def test_a_checkpoint_is_written_through_no_link(tmp_path):
    """What the links lead to is a user's own."""
    outside, folder = tmp_path / "outside", tmp_path / "new"
    outside.mkdir()
    folder.mkdir()
    names = ("config.json", "preprocessor_config.json", "model.safetensors")
    for name in names:
        (outside / name).write_text("precious")
        (folder / name).symlink_to(outside / name)
    write_checkpoint(folder, CONFIGS["ijepa"], PREPROCESSOR_CONFIG, model_of(CONFIGS["ijepa"]))
    assert [(outside / name).read_text() for name in names] == ["precious"] * 3
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)
    assert not any(p.is_symlink() for p in folder.iterdir())
    hub = CONFIGS["ijepa"]
    assert load_encoder(folder).config == find_family(hub).config(hub)


def test_a_checkpoint_that_cannot_be_written_whole_leaves_the_one_before(tmp_path, monkeypatch):
    """As a full disk does."""
    hub = CONFIGS["ijepa"]
    write_checkpoint(tmp_path, hub, PREPROCESSOR_CONFIG, model_of(hub))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jepa_jax.atomic_files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path, hub, PREPROCESSOR_CONFIG | {"x": 1}, model_of(hub))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
