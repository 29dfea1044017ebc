"""Every family against PyTorch `transformers`: hidden states, preprocessing, and Listing 1."""

import copy
import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from checkpoints import VARIANTS, Variant, pixels, randomized, to_torch, write
from PIL import Image
from transformers import AutoImageProcessor

from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.encoders.encoder_jacobian import jacobian_of

UNIT = 2.0**-24
in_float32 = pytest.mark.parametrize(
    "checkpoint", [name for name, v in VARIANTS.items() if not v.alike], indirect=True
)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A variant written to disk, with what several tests compare."""

    variant: Variant
    model: torch.nn.Module
    folder: Path

    @functools.cached_property
    def encoder(self):
        return load_encoder(self.folder)

    @functools.cached_property
    def sigma(self):
        """Listing 1's singular values of two images, float32."""
        return listing1(self.variant.embedding, self.model, to_torch(pixels(56, 2)))[0]

    @functools.cached_property
    def scores(self):
        """Ours of the same images."""
        return Scorer(self.encoder, Exact(), batch_size=1).score(pixels(56, 2))


@pytest.fixture(scope="module", params=VARIANTS)
def checkpoint(request, tmp_path_factory):
    variant = VARIANTS[request.param]
    model = randomized(variant)
    folder = tmp_path_factory.mktemp(request.param)
    return Checkpoint(variant, model, write(model, variant.processor, folder))


def listing1(embedding, model, images, eps=1e-6):
    """The reference of arXiv 2510.05949, Listing 1: the singular values and the clipped score."""
    jacobians = torch.autograd.functional.jacobian(
        lambda x: embedding(model, x).sum(0), inputs=images
    )
    sigma = torch.linalg.svdvals(jacobians.flatten(2).permute(1, 0, 2))
    return sigma.numpy(), sigma.clip(eps).log().sum(1).numpy()


@pytest.mark.parametrize(
    ("checkpoint", "size"),
    [(name, size) for name, variant in VARIANTS.items() for size in variant.sizes],
    indirect=["checkpoint"],
)
def test_every_hidden_layer(checkpoint, size):
    encoder, image = checkpoint.encoder, pixels(size)
    with torch.no_grad():
        theirs = checkpoint.variant.torch_hidden_states(checkpoint.model, to_torch(image))
    ours = jax.jit(encoder.hidden_states)(encoder.state, image[0])
    assert len(ours) == len(theirs.hidden_states)
    # Each layer sums up to 588 products, whose rounding grows as a random walk, and adds to what
    # came before: 25 units in the last place a layer of the largest entry covers both libraries.
    for depth, (a, b) in enumerate(zip(ours, theirs.hidden_states, strict=True)):
        scale = np.abs(b[0].numpy()).max()
        np.testing.assert_allclose(a, b[0].numpy(), atol=25 * UNIT * (depth + 1) * scale)


def test_embedding(checkpoint):
    image = pixels(56)
    with torch.no_grad():
        theirs = checkpoint.variant.embedding(checkpoint.model, to_torch(image))[0].numpy()
    ours = jax.jit(checkpoint.encoder.embed)(checkpoint.encoder.state, image[0])
    np.testing.assert_allclose(ours, theirs, atol=100 * UNIT * np.abs(theirs).max())


@pytest.mark.parametrize(
    "checkpoint", [name for name, v in VARIANTS.items() if v.own_processor], indirect=True
)
@pytest.mark.parametrize("size", [(100, 80), (30, 57), (56, 56), (640, 200)])
def test_preprocessing_is_the_checkpoints_own(checkpoint, size):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    image = Image.fromarray(noise)
    processor = AutoImageProcessor.from_pretrained(checkpoint.folder, backend="pil")
    theirs = processor(image, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    ours = checkpoint.encoder.preprocess(image)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs.astype(np.float32))


@pytest.mark.usefixtures("x64")
def test_score_agrees_with_listing_1_in_float64(checkpoint):
    images = pixels(56, 1, np.float64)
    model = copy.deepcopy(checkpoint.model).double()
    sigma, clipped = listing1(checkpoint.variant.embedding, model, to_torch(images))
    encoder = load_encoder(checkpoint.folder, dtype=jnp.float64)

    def estimates(state, image):
        operator = jacobian_of(encoder, state, image, chunk=7)
        return Exact()(operator), Exact(rank="clip")(operator)

    ours, ours_clipped = jax.jit(estimates)(encoder.state, images[0])
    expected = np.log(sigma[0, : int(ours.rank)]).sum()
    np.testing.assert_allclose(ours.log_volume, expected, rtol=1e-8)
    np.testing.assert_allclose(ours_clipped.log_volume, clipped[0], rtol=1e-8)


@in_float32
def test_score_agrees_with_listing_1_in_float32(checkpoint):
    ours = checkpoint.scores
    live = checkpoint.sigma[:, : ours.rank[0]].astype(np.float64)
    # d log-volume = tr(J^+ dJ): for independent errors of deviation e in the entries of J, its
    # deviation is e |J^+|_F = e sqrt(sum 1 / sigma^2). An entry of size |J|_F / sqrt(K D) carries
    # some 16 roundings from two libraries; five deviations are allowed, and rounding of the sum.
    entries = live.shape[1] * 56 * 56 * 3
    error = 16 * UNIT * np.sqrt((live**2).sum(1) / entries) * np.sqrt((live**-2).sum(1))
    tolerance = 5 * error + 4 * UNIT * np.abs(np.log(live)).sum(1)
    difference = ours.jepa_score - np.log(live).sum(1)
    assert (np.abs(difference) < tolerance).all(), (difference, tolerance)


@in_float32
def test_only_null_directions_are_left_out(checkpoint):
    sigma, rank = checkpoint.sigma, checkpoint.scores.rank[0]
    # What is left out is rounding noise and the LayerNorm's epsilon, 1e-5 of a small variance in
    # DINOv3's; what is kept stands clear.
    assert (sigma[:, rank:] < 3e-3 * sigma[:, rank - 1 : rank]).all()
    assert (sigma[:, rank - 1] > 1e-4 * sigma[:, 0]).all()


@pytest.mark.parametrize("checkpoint", ["dinov2", "ijepa", "clip"], indirect=True)
def test_normalized_embedding(checkpoint):
    encoder = load_encoder(checkpoint.folder, embedding=f"{checkpoint.encoder.rule}+normalized")

    def normalized(model, x):
        z = checkpoint.variant.embedding(model, x)
        return z / z.norm(dim=-1, keepdim=True)

    images = pixels(56)
    sigma, _ = listing1(normalized, checkpoint.model, to_torch(images))

    @jax.jit
    def estimate(state, image):
        operator = jacobian_of(encoder, state, image, chunk=7)
        return Exact()(operator), operator.value

    ours, embedding = estimate(encoder.state, images[0])
    rank = int(ours.rank)
    np.testing.assert_allclose(np.linalg.norm(embedding), 1, rtol=1e-6)
    expected = np.log(sigma[0, :rank].astype(np.float64)).sum()
    np.testing.assert_allclose(ours.log_volume, expected, atol=5e-3)
    assert (sigma[0, rank:] < 1e-3 * sigma[0, rank - 1]).all()


@pytest.mark.parametrize("checkpoint", ["dinov2-registers", "clip"], indirect=True)
def test_evaluating_the_last_block_for_cls_alone_changes_nothing(checkpoint):
    encoder = checkpoint.encoder
    depth, image = encoder.config.depth, jnp.asarray(pixels(56)[0])
    inner = load_encoder(checkpoint.folder, embedding=f"cls@{depth}")
    all_tokens = lambda state, x: encoder.hidden_states(state, x)[-1][0]
    squared = lambda f: jax.jit(jax.grad(lambda x, state: jnp.square(f(state, x)).sum() / 2))
    via_all = squared(all_tokens)(image, encoder.state)
    via_cls = squared(inner.embed)(image, inner.state)
    np.testing.assert_allclose(via_cls, via_all, atol=200 * UNIT * float(jnp.abs(via_all).max()))
