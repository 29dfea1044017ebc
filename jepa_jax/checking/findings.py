"""A checkpoint beside PyTorch, and what its Jacobians are like."""

import dataclasses
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image

from jepa_jax.checking.reference import (
    NoReference,
    Reference,
    folder_of,
    load_processor,
    load_reference,
)
from jepa_jax.data import decode
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.encoders.loading import load_encoder
from jepa_jax.estimators.exact import Exact
from jepa_jax.precisions import PRECISIONS
from jepa_jax.scoring.affordable import TooDear, too_dear
from jepa_jax.scoring.cost import cost_of
from jepa_jax.scoring.numerics import is_faster, numerics
from jepa_jax.scoring.scorer import Scorer
from jepa_jax.xla import default_device

# Of hidden layers, in units in the last place of the largest entry, for every layer before. Each
# sums hundreds of products, whose rounding grows as a random walk, and adds to what came before.
_UNITS_A_LAYER = 25
_UNIT = 2.0**-24
# Of the score in float64, relative: what the parity tests have for every family. `transformers`
# resizes DINOv2's positions in float32 all the same, which moves small models' scores by up to
# 5e-10; pretrained ones have larger conditions.
_SCORE = 1e-8
_SCORE_RESIZED = 1e-7
# Null directions, over the smallest live singular value: what a LayerNorm's epsilon leaves of them.
_NULL = 3e-3
# A score that takes longer is worth a calibration.
_SECONDS_WORTH = 1.0
# The smallest singular value, in units of float32's rounding of all: below, scores are of noise.
_ABOVE_NOISE = 4.0


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was measured, what it should be, and whether it is.

    `status`: "ok"; "failed"; "not checked", with the reason in `measured`; "said", where there is
    nothing that it should be.

    >>> Finding("condition number", "1.2e+03", "", "said").status
    'said'
    """

    name: str
    measured: str
    expected: str
    status: Literal["ok", "failed", "not checked", "said"]


def check(
    encoder: Encoder, images: Iterable[Image.Image], *, at_any_cost: bool = False
) -> Iterator[Finding]:
    """What there is to know of a checkpoint before its scores are believed, one after the other.

    Beside PyTorch, where `transformers` or timm and PyTorch are installed: every hidden layer of
    the first image, the preprocessing of all, and the score of the first in float64 against Listing
    1 of arXiv 2510.05949. By itself: the null directions in closed form against the Jacobian, its
    condition number, and the precision and method that suit it. Where one exact score exceeds the
    memory or takes hours (`jepa_jax.scoring.affordable`), what is of the whole Jacobian is not
    checked, unless `at_any_cost`.

    Cost: K VJPs in float64 of one image, and as many by PyTorch; K VJPs of every image in float32.

    Raises `ValueError` on an encoder that was made in memory, or without images.

    >>> from PIL import Image
    >>> from jepa_jax import load_encoder
    >>> found = check(load_encoder("embedded"), [Image.linear_gradient("L")])
    >>> bad = [finding for finding in found if finding.status == "failed"]
    >>> bad
    []
    """
    images = list(images)
    if not images:
        raise ValueError("there are no images to check with")
    folder_of(encoder)
    inputs = np.stack([encoder.preprocess(image) for image in images])
    missing, reference = "", None
    try:
        reference = load_reference(encoder)
    except NoReference as error:
        missing = str(error)
    yield _hidden(encoder, inputs[0], reference, missing)
    yield _preprocessing(encoder, images, inputs)
    scorer = Scorer(encoder, Exact(spectrum=True), batch_size=1)
    dear = None if at_any_cost else too_dear(scorer)
    if dear is not None:
        yield from _of_another_method(dear)
        return
    with jax.enable_x64(True):
        double = _Double.of(encoder, inputs[0])
    yield from _score(encoder, inputs[0], double, reference, missing)
    yield _null(encoder, double)
    yield from _suggestions(scorer, inputs)


def _of_another_method(dear: TooDear) -> Iterator[Finding]:
    """What is left to say where the Jacobian is too large for this machine."""
    for name in ("score by Listing 1", "null directions", "condition number", "float32"):
        yield Finding(name, "they are of the whole Jacobian: see below", "", "not checked")
    said = f"not exact: {dear.cost}. The way on: {'; '.join(dear.ways)}"
    yield Finding("method to ask for", said, "", "said")


@dataclasses.dataclass(frozen=True)
class _Double:
    """One image's score in float64, its live singular values, and n^T J of the null directions."""

    score: float
    live: Float[np.ndarray, " r"]
    null: Float[np.ndarray, "n d"]

    @classmethod
    def of(cls, encoder: Encoder, image: Float[np.ndarray, "h w c"]) -> "_Double":
        assert encoder.origin is not None
        own = dataclasses.asdict(encoder.origin) | {"embedding": encoder.rule, "dtype": "float64"}
        double = load_encoder(**own)

        @jax.jit
        def measured(state, image):
            operator = jacobian_of(double, state, image, chunk=8)
            estimate = Exact(spectrum=True)(operator)
            basis = operator.null_basis
            if not basis.shape[1]:
                return estimate, jnp.zeros((0, operator.shape[1]))
            return estimate, operator.rows(basis.T)

        with numerics("highest"):
            estimate, null = measured(double.state, jnp.asarray(image, jnp.float64))
        live = np.asarray(estimate.singular_values)
        return cls(float(estimate.log_volume), live, np.asarray(null))


def _hidden(encoder: Encoder, image: np.ndarray, reference: Reference | None, missing: str):
    name = "hidden layers"
    if reference is None:
        return Finding(name, missing, "", "not checked")
    ours = [np.asarray(h) for h in jax.jit(encoder.hidden_states)(encoder.state, image)]
    theirs = reference.hidden_states(_to_torch(image))
    if reference.patches_alone:
        ours = [tokens[encoder.config.prefix :] for tokens in ours[1:]]
    shapes = [tokens.shape for tokens in ours], [tokens.shape for tokens in theirs]
    if shapes[0] != shapes[1]:
        return Finding(name, f"shapes {shapes[0]}", f"{shapes[1]} by {reference.name}", "failed")
    worst = max(
        float(np.abs(a - b).max() / np.abs(b).max() / (depth + 1))
        for depth, (a, b) in enumerate(zip(ours, theirs, strict=True))
    )
    worst /= _UNIT
    return Finding(
        name,
        f"{len(ours)} layers within {worst:.2g} u a layer of {reference.name} in float64",
        f"at most {_UNITS_A_LAYER}; u = 2^-24 of the layer's largest entry",
        "ok" if worst <= _UNITS_A_LAYER else "failed",
    )


def _preprocessing(encoder: Encoder, images: list[Image.Image], inputs: np.ndarray) -> Finding:
    name, worst = "preprocessing", 0.0
    try:
        processor, limit = load_processor(encoder)
        every = [processor(image.convert("RGB")) for image in images]
    except NoReference as error:  # Those of torchvision alone, for one.
        return Finding(name, str(error), "", "not checked")
    for theirs, ours in zip(every, inputs, strict=True):
        if theirs.shape != ours.shape:
            return Finding(name, f"shape {ours.shape}", str(theirs.shape), "failed")
        worst = max(worst, float(np.abs(theirs - ours).max()))
    said = f"{len(images)} images, largest difference {worst:.2g}"
    same = "0: the same pixels" if not limit else f"at most {limit:.2g}: the same bytes"
    return Finding(name, said, same, "ok" if worst <= limit else "failed")


def _score(
    encoder: Encoder,
    image: np.ndarray,
    double: _Double,
    reference: Reference | None,
    missing: str,
) -> Iterator[Finding]:
    name = "score by Listing 1"
    if reference is None:
        yield Finding(name, missing, "", "not checked")
        return
    try:
        sigma = _listing_1(encoder, image, reference)
    except NoReference as error:
        yield Finding(name, str(error), "", "not checked")
        return
    rank = len(double.live)
    expected = float(np.log(sigma[:rank]).sum())
    error = abs(double.score - expected) / abs(expected)
    limit = _SCORE_RESIZED if reference.resizes_in_float32 else _SCORE
    yield Finding(
        name,
        f"{double.score:.6f} nats, {error:.1e} relative to {reference.name}",
        f"at most {limit}, float64",
        "ok" if error <= limit else "failed",
    )
    beyond = float(sigma[rank] / sigma[rank - 1]) if rank < len(sigma) else 0.0
    yield Finding(
        "rank",
        f"{rank} live of {len(sigma)}; the next value is {beyond:.1e} of the last",
        f"at most {_NULL}",
        "ok" if beyond <= _NULL else "failed",
    )


def _listing_1(encoder: Encoder, image: np.ndarray, reference: Reference) -> np.ndarray:
    """Singular values of the Jacobian by PyTorch, float64, descending."""
    import torch

    pixels = _to_torch(image).requires_grad_(True)
    z = reference.embedding(pixels, encoder.rule)[0]
    rows = [torch.autograd.grad(value, pixels, retain_graph=True)[0].ravel() for value in z]
    j = torch.stack(rows).numpy()
    # Of J J^T in float64: relative errors of 1e-16 cond^2, which the LayerNorm's null directions
    # do not stand; J's own.
    return np.linalg.svd(j, compute_uv=False)


def _null(encoder: Encoder, double: _Double) -> Finding:
    name, count = "null directions", len(double.null)
    if not count:
        return Finding(name, f"none of {encoder.rule}", "", "said")
    largest = float(np.linalg.norm(double.null, 2) / double.live[-1])
    return Finding(
        name,
        f"{count} in closed form: |n^T J| at most {largest:.1e} of the smallest live value",
        f"at most {_NULL}",
        "ok" if largest <= _NULL else "failed",
    )


def _suggestions(scorer: Scorer, inputs: np.ndarray) -> Iterator[Finding]:
    """The condition number, and from it and the cost what to ask for."""
    first = scorer.score(inputs[:1], at_any_cost=True)  # Compiled.
    began = time.perf_counter()
    scores = scorer.score(inputs, at_any_cost=True)
    seconds = (time.perf_counter() - began) / len(inputs)
    assert scores.singular_values is not None
    sigma = scores.singular_values.astype(np.float64)
    conditions = sigma[:, 0] / sigma[:, -1]
    yield Finding(
        "condition number",
        f"{conditions.min():.2g} to {conditions.max():.2g} of {len(inputs)} images; scores "
        f"{scores.jepa_score.min():.2f} to {scores.jepa_score.max():.2f} nats",
        "",
        "said",
    )
    # As `jepa_jax.estimators.factor`: rounding of entries is u |J|_F / sqrt(m) in each direction.
    noise = _UNIT * np.sqrt(np.square(sigma).mean(1))
    above = float((sigma[:, -1] / noise).min())
    finite = np.isfinite(scores.jepa_score).all() and np.isfinite(first.jepa_score).all()
    yield Finding(
        "float32",
        f"the smallest singular value is {above:.2g} times the rounding of the rows",
        f"at least {_ABOVE_NOISE:g}",
        "ok" if finite and above >= _ABOVE_NOISE else "failed",
    )
    platform = default_device().platform
    faster = [p for p in PRECISIONS if p != "highest" and is_faster(p)]
    advice = f"highest; on {platform} no other is faster"
    if faster:
        advice = f"auto: it measures {', '.join(faster)} on your images, faster on {platform}"
    yield Finding("precision to ask for", advice, "", "said")
    yield Finding("method to ask for", _method(scorer, seconds), "", "said")


def _method(scorer: Scorer, seconds: float) -> str:
    import psutil

    encoder = scorer.encoder
    height, width, _ = encoder.input_shape
    chunk = scorer.plan(height, width).chunk
    cost = cost_of(encoder.config, encoder.rule, Exact(), height, width, chunk)
    said = (
        f"exact takes {cost.vjps:.0f} VJPs of {cost.flops_a_vjp / 1e9:.3g} GFLOP and "
        f"{cost.memory / 1e6:.0f} MB of memory, {seconds:.2g} s an image here"
    )
    if cost.memory > 0.5 * psutil.virtual_memory().total:
        return f"lanczos, or a sketch with a calibration: {said}"
    if seconds > _SECONDS_WORTH:
        return f"auto: {said}"
    return f"exact: {said}"


def _to_torch(image: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float64))


def sample_images() -> list[Image.Image]:
    """Images that come with the package."""
    folder = Path(__file__).parent.parent / "assets" / "samples"
    found = sorted(folder.glob("digit-*.png"))  # And no broken one.
    return [decode(path) for path in found]
