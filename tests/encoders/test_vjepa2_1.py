"""V-JEPA 2.1 beside our own PyTorch: clips, oblong images, and the ways its tensors are named.

Still images at three resolutions, preprocessing and scores are in test_parity.py.
"""

import json
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from checkpoints import VARIANTS, randomized
from safetensors.torch import load_file, save_file

from jepa_jax import Exact, load_encoder
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.encoders.families.vjepa2_1 import FAMILY

UNIT = 2.0**-24


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The model, and a folder as one who converts a published file has it."""
    model, folder = randomized(VARIANTS["vjepa2.1"]), tmp_path_factory.mktemp("vjepa2.1")
    model.save_pretrained(folder)
    return model, folder


def random(*shape, dtype=np.float32):
    return np.random.default_rng(shape[0]).standard_normal(shape).astype(dtype)


def to_torch(frames):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, 0)))[None]


def test_every_hidden_layer_of_an_oblong_image(checkpoint):
    model, folder = checkpoint
    encoder, image = load_encoder(folder), random(28, 84, 3)
    with torch.no_grad():
        theirs = model(to_torch(image)).hidden_states
    ours = jax.jit(encoder.hidden_states)(encoder.state, image)
    # As tests/encoders/test_parity.py explains.
    for depth, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        scale = np.abs(b[0].numpy()).max()
        np.testing.assert_allclose(a, b[0].numpy(), atol=25 * UNIT * (depth + 1) * scale)


@pytest.mark.usefixtures("x64")
def test_a_clip_and_its_score_by_listing_1(checkpoint):
    frames, side, (model, folder) = 6, 42, checkpoint
    model, clip = model.double(), to_torch(random(frames, side, side, 3, dtype=np.float64))
    with torch.no_grad():
        theirs = model(clip).hidden_states
    embed = lambda x: model(x).last_hidden_state.mean(1).sum(0)
    jacobian = torch.autograd.functional.jacobian(embed, clip).reshape(48, -1)
    sigma = torch.linalg.svdvals(jacobian).numpy()
    encoder = load_encoder(folder, frames=frames, dtype=jnp.float64)

    @jax.jit
    def found(state, image):
        score = Exact()(jacobian_of(encoder, state, image, chunk=8))
        return score, encoder.hidden_states(state, image)

    score, ours = found(encoder.state, encoder._clip(np.moveaxis(clip[0].numpy(), 0, -1)))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b[0], atol=1e-12 * float(b.abs().max()))
    assert int(score.rank) == 47  # One null direction of a mean of normed tokens.
    np.testing.assert_allclose(score.log_volume, np.log(sigma[:47]).sum(), rtol=1e-8)
    model.float()


@pytest.mark.parametrize("frames", [None, 4])
def test_what_is_taken_apart_is_put_together_again(checkpoint, frames):
    hub = json.loads((checkpoint[1] / "config.json").read_text())
    config = FAMILY.config(hub) if frames is None else FAMILY.clips(hub, frames)
    stored = FAMILY.parameters(config)
    for name, shape in {"kernel": (14 * 14 * config.channels, 48), "bias": (48,)}.items():
        part, x = stored[f"patch.{name}"], random(*shape)
        np.testing.assert_array_equal(part.assemble(*part.disassemble(x)), x)


def as_by_transformers(name, tensor):
    """The names that conversions have: three projections, and `encoder.` before all."""
    if match := re.fullmatch(r"blocks\.(\d+)\.attn\.qkv\.(\w+)", name):
        parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
        layer, kind = match.groups()
        return {f"encoder.layer.{layer}.attention.{p}.{kind}": x.clone() for p, x in parts}
    name = re.sub(r"^blocks\.(\d+)\.", r"layer.\1.", name).replace(".attn.", ".attention.")
    name = name.replace("patch_embed", "embeddings.patch_embeddings")
    within = "embeddings." if name.endswith("_mod_embed") else ""
    return {f"encoder.{within}{name}": tensor}


def last_norm_alone(name, tensor):
    renamed = as_by_transformers(name, tensor)
    kept = renamed.items() if not re.search(r"norms_block\.[012]", name) else ()
    return {n.replace("norms_block.3", "distillation_norms.0"): x for n, x in kept}


NAMINGS = {
    "as in Meta's files": (
        lambda name, x: {f"module.backbone.{name}": x},
        {"model_type": "vjepa2_1"},
    ),
    "of conversions with code": (
        as_by_transformers,
        {"model_type": "vjepa21", "n_output_distillation": 1, "img_temporal_dim_size": 1},
    ),
    "of a pull request, of ViT-B": (
        last_norm_alone,
        {"model_type": "vjepa2", "use_rope_interleave": True, "num_distillation_outputs": 1},
    ),
    "of a pull request, of ViT-g": (
        lambda name, x: {
            n.replace("norms_block", "distillation_norms"): y
            for n, y in as_by_transformers(name, x).items()
        },
        {"model_type": "vjepa2", "use_rope_interleave": True, "num_distillation_outputs": 4},
    ),
}


def renamed(checkpoint, folder, naming, **changes):
    name, hub = NAMINGS[naming]
    shutil.copytree(checkpoint[1], folder, dirs_exist_ok=True)
    tensors = load_file(folder / "model.safetensors")
    new = {n: x for old, tensor in tensors.items() for n, x in name(old, tensor).items()}
    new["predictor.layernorm.weight"] = torch.ones(3)
    save_file(new, folder / "model.safetensors")
    stated = json.loads((folder / "config.json").read_text()) | hub | changes
    (folder / "config.json").write_text(json.dumps(stated))
    return folder


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("frames", [None, 4])
def test_the_same_tensors_under_other_names(checkpoint, tmp_path, naming, frames):
    expected = load_encoder(checkpoint[1], frames=frames)
    found = load_encoder(renamed(checkpoint, tmp_path, naming), frames=frames)
    jax.tree.map(np.testing.assert_array_equal, expected.state, found.state)
    same = {name: getattr(expected.config, name) for name in ("rotary_grid", "frames", "channels")}
    assert same == {name: getattr(found.config, name) for name in same}


def test_a_published_file_is_converted_as_the_error_says(checkpoint, tmp_path, monkeypatch):
    model, name = checkpoint[0], "vjepa2_1_vitb_dist_vitG_384.pt"
    state = {f"module.backbone.{n}": x for n, x in model.state_dict().items()}
    torch.save({"ema_encoder": state, "encoder": {}, "epoch": 40}, tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"no config\.json in .*never opened") as error:
        load_encoder(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"encoder .* is a pickle") as of_file:
        load_encoder(tmp_path / name)
    code, *_ = re.findall(r"`(safetensors.*?)`", said := str(error.value))
    assert code in str(of_file.value)
    hub = json.loads(said[said.index("{") :])
    assert hub == {"model_type": "vjepa2_1"} | FAMILY.published[name]
    code = code.replace("FILE", repr(str(tmp_path / name))).replace("KEY", "'ema_encoder'")
    exec(code.replace("FOLDER", str(tmp_path)), {"torch": torch, "safetensors": safetensors})
    small = (checkpoint[1] / "config.json").read_text()
    (tmp_path / "config.json").write_text(small)
    expected, found = load_encoder(checkpoint[1]), load_encoder(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, expected.state, found.state)
    # And as the page says.
    page = Path(__file__).parents[2].joinpath("docs", "families.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], {})
    made = tmp_path / "vjepa2.1-vitb"
    assert json.loads((made / "config.json").read_text()) | {"mlp_ratio": 4.0} == hub
    one, other = (f / "model.safetensors" for f in (made, tmp_path))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("naming", "changes", "message"),
    [
        (
            "as in Meta's files",
            {"model_type": "vjepa21"},
            "the tensors of V-JEPA 2.1: `model_type`",
        ),
        ("as in Meta's files", {"model_type": "vjepa2"}, "the tensors of V-JEPA 2.1: `model_type`"),
        ("of conversions with code", {"model_type": "vjepa2_1"}, "vjepa21 where as by"),
        (
            "of conversions with code",
            {"interpolate_rope": False},
            "`interpolate_rope` must be true",
        ),
        (
            "of conversions with code",
            {"auto_map": {"AutoModel": "own.Model"}},
            "take the field out",
        ),
        ("as in Meta's files", {"patch_size": 384, "crop_size": 384}, "at least 2, .*of 384"),
        # The norm of another depth in the last one's place would go unseen.
        ("of a pull request, of ViT-g", {"num_distillation_outputs": 1}, "2 left over: .*norms.3"),
    ],
)
def test_what_does_not_fit(checkpoint, tmp_path, naming, changes, message):
    with pytest.raises(ValueError, match=rf"(?s){message}"):
        load_encoder(renamed(checkpoint, tmp_path, naming, **changes))


def test_what_it_cannot_encode(checkpoint):
    _, folder = checkpoint
    with pytest.raises(ValueError, match="images of 2 x 2 patches or more, got 14 x 14"):
        load_encoder(folder, image_size=14)
    with pytest.raises(ValueError, match=r"`frames` must be a multiple of 2, .* got 3"):
        load_encoder(folder, frames=3)
    clip = load_encoder(folder, frames=4)
    with pytest.raises(ValueError, match="squares of 2 x 2 patches or more"):
        clip.embed(clip.state, np.zeros((2 * 28, 42, 6), np.float32))
