"""The projector behind a backbone: what libraries store of it, against PyTorch, and what not."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from checkpoints import pixels, to_torch
from command_line import invoke
from safetensors.torch import load_file, save_file
from timm_models import timm_model, write_timm
from torch import nn

from jepa_jax import Exact, load_encoder
from jepa_jax.checking.reference import NoReference, load_reference
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.encoders.stored_projector import read_layers


def mlp(inputs: int, widths: list[int]) -> nn.Sequential:
    """torchvision's MLP with batch norms, and stable-pretraining's."""
    layers = []
    for width in widths[:-1]:
        layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, widths[-1]), nn.Dropout(0.1))


def vicreg(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    linear = nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, outputs, bias=False)
    return nn.Sequential(linear[0], nn.BatchNorm1d(hidden), nn.GELU(), linear[1])


# Prefixes of backbone and projector, the backbone's own last layer, the projector, the activation
# that config.json states, and its null directions: of a width of 48, 46 are live.
LAYOUTS = {
    "stable-pretraining": (
        ("backbone.", "projector."),
        0,
        lambda: nn.Sequential(nn.Linear(48, 52), mlp(52, [120, 120, 56])),
        {},
        10,
    ),
    "LeJEPA's example": (("backbone.", "proj."), 32, lambda: mlp(32, [100, 100, 12]), {}, 0),
    "VICReg, in Lightning": (
        ("model.backbone.", "model.projector."),
        0,
        lambda: vicreg(48, 30, 40),
        {"projector_activation": "gelu"},
        10,
    ),
}


def randomized(projector: nn.Module) -> nn.Module:
    """As after a training: every tensor moved."""
    generator = torch.Generator().manual_seed(0)
    for module in projector.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(generator=generator)
    return projector.eval()


def stored(folder, prefixes, classes, projector, **config):
    """The backbone in PyTorch and the folder, with what a training stores besides."""
    model = timm_model("vit_small_patch16_224", patch_size=14, depth=1, num_classes=classes)
    write_timm(model, folder)
    if config:
        text = (folder / "config.json").read_text()
        (folder / "config.json").write_text('{"projector_activation": "gelu",' + text[1:])
    own, beside = prefixes
    tensors = {f"{own}{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"{beside}{name}": tensor for name, tensor in projector.state_dict().items()}
    root = "model." if own.startswith("model.") else ""
    tensors |= {
        f"{root}sigreg.ep.t": torch.linspace(0, 3, 17),
        f"{root}sigreg.global_step": torch.tensor(7),
        f"{root}callbacks_modules.linear_probe.weight": torch.zeros(10, 48),
    }
    save_file(tensors, folder / "model.safetensors")
    return model


@pytest.fixture(scope="module", params=LAYOUTS)
def checkpoint(request, tmp_path_factory):
    prefixes, classes, make, config, null = LAYOUTS[request.param]
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("projector")
    projector = randomized(make())
    model = stored(folder, prefixes, classes, projector, **config)
    return model, projector, folder, null


@pytest.mark.usefixtures("x64")
def test_scores_and_null_directions(checkpoint):
    model, projector, folder, null = checkpoint
    model, projector = copy.deepcopy(model).double(), copy.deepcopy(projector).double()
    image = pixels(56, 1, np.float64)
    embed = lambda x: projector(model(x))
    jacobian = torch.autograd.functional.jacobian(lambda x: embed(x).sum(0), to_torch(image))
    k = len(jacobian)
    jacobian = jacobian.reshape(k, -1).numpy()
    encoder = load_encoder(folder, embedding="projector", dtype=jnp.float64)
    assert encoder.embedding_size == k

    @jax.jit
    def score(state, image):
        operator = jacobian_of(encoder, state, image, chunk=7)
        return operator.value, Exact()(operator), operator.null_basis

    value, found, basis = score(encoder.state, image[0])
    np.testing.assert_allclose(value, embed(to_torch(image))[0].detach().numpy(), rtol=1e-9)
    assert found.rank == k - null
    # As tests/encoders/test_timm.py explains.
    live = np.linalg.svd(basis, full_matrices=True)[0][:, null:]
    sigma = np.linalg.svd(live.T @ jacobian, compute_uv=False)
    np.testing.assert_allclose(found.log_volume, np.log(sigma).sum(), rtol=1e-8)
    assert np.abs(basis.T @ jacobian).max(initial=0) < 1e-3 * sigma[-1]


def test_by_its_name_alone(checkpoint):
    """The backbone's own embedding is what it is without a projector, and half precision holds
    what a batch norm is folded of."""
    _, _, folder, _ = checkpoint
    encoder = load_encoder(folder)
    assert (str(encoder.rule), encoder.embedding_size) == ("cls", 48)
    assert encoder.config.projector is None
    short = load_encoder(folder, embedding="cls,projector", dtype=jnp.float16)
    assert [str(rule) for rule in short.rules] == ["cls", "projector"]


def test_what_check_compares_with(checkpoint):
    """The modules one by one in PyTorch, as they are stored."""
    model, projector, folder, _ = checkpoint
    encoder = load_encoder(folder, embedding="projector+normalized")
    image = to_torch(pixels(56, 1, np.float64))
    model, projector = copy.deepcopy(model).double(), copy.deepcopy(projector).double()
    reference = load_reference(encoder)
    with torch.no_grad():
        expected = projector(model(image))
        expected /= expected.norm()
        found = reference.embedding(image, encoder.rule)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-14)
    with pytest.raises(NoReference, match="timm has the embedding cls, not mean"):
        reference.embedding(image, EmbeddingRule("mean"))


def test_a_batch_norm_in_half_precision(tmp_path):
    """Its variance is read as it is stored: float16 does not hold it."""
    projector = randomized(mlp(48, [16, 8]))
    projector[1].running_var.mul_(1e6)
    projector[0].weight.data.mul_(1e3)
    stored(tmp_path, ("backbone.", "projector."), 0, projector)
    encoder = load_encoder(tmp_path, embedding="projector", dtype=jnp.float16)
    scale = projector[1].weight / torch.sqrt(projector[1].running_var + 1e-5)
    expected = (projector[0].weight * scale[:, None]).T.detach().numpy()
    kernel = encoder.state["projector"]["layers"][0]["kernel"][...]
    np.testing.assert_allclose(kernel, expected, rtol=2.0**-10)


LINEAR = {"p.0.weight": (8, 48), "p.0.bias": (8,)}
NORM = {f"p.1.{name}": (8,) for name in ("weight", "bias", "running_mean", "running_var")}


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"p.mlp.0.weight": (8, 48)}, "p.mlp.0.weight is of no torch.nn.Sequential"),
        (LINEAR | {"p.1.weight": (8,), "p.1.bias": (8,)}, r"p.1 \(bias \[8\], weight \[8\]\) is"),
        (LINEAR | {"p.2.weight_g": (4, 1), "p.2.weight_v": (4, 8)}, "is neither a Linear nor a"),
        ({"p.1.weight": (8, 48)}, "p.1 is the first that has tensors"),
        (LINEAR | {"p.4.weight": (4, 8)}, "what lies between p.4 and the module before"),
        (LINEAR | {"p.1.2.weight": (4, 8)}, "what lies between p.1.2 and the module before"),
        (NORM, "p.1 is the first that has tensors"),
        (LINEAR | {n.replace("p.1", "p.2"): s for n, s in NORM.items()}, "follows no linear layer"),
        (LINEAR | {n: (9,) for n in NORM}, "p.1 is not of the 8 coordinates before it"),
        (LINEAR | NORM | {"p.3.weight": (4, 9)}, "p.3 takes 9 coordinates, and is given 8"),
        ({"p.0.weight": (8, 32)}, "p.0 takes 32 coordinates, and is given 48"),
    ],
)
def test_what_is_no_such_projector_is_named(shapes, said):
    with pytest.raises(ValueError, match=said) as error:
        read_layers(shapes, "p.", 48, "head")
    assert str(error.value).startswith("`embedding` 'projector': ")
    assert "`jepa_jax.jacobian` takes its Jacobian" in str(error.value)


def test_one_linear_layer_is_a_projector():
    (layer,), activated = read_layers({"p.weight": (8, 48)}, "p.", 48, "head")
    assert (layer.name, layer.outputs, layer.bias, activated) == ("p", 8, False, ())


def test_a_checkpoint_without_one(tmp_path):
    folder = write_timm(timm_model("vit_small_patch16_224", patch_size=14, depth=1), tmp_path)
    with pytest.raises(ValueError, match="needs a projector, as LeJEPA's; this encoder has none"):
        load_encoder(folder, embedding="projector")
    with pytest.raises(ValueError, match=r"what LeJEPA trains behind one is 'projector'"):
        load_encoder(folder, embedding="projected")
    tensors = load_file(folder / "model.safetensors")
    save_file(
        tensors | {"projector.net.0.weight": torch.zeros(4, 48)}, folder / "model.safetensors"
    )
    said = invoke("check", folder, "--embedding", "projector")
    assert said.exit_code == 2
    assert "projector.net.0.weight is of no torch.nn.Sequential" in said.stderr
