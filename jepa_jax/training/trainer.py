"""Training a vision transformer with LeJEPA's objective: one pure, jitted run of steps."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.encoder import abstract_model, fill
from jepa_jax.encoders.vit import ViT, ViTConfig
from jepa_jax.training.augment import Augmentation, views
from jepa_jax.training.objectives import invariance, sigreg


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to train.

    `batch`: images a step, each seen in `views` views. `learning_rate`: the peak, after `warmup`
    steps, before a cosine to zero.
    `weight_decay`: of matrices, the positions among them. `balance`: lambda of
    (1 - lambda) invariance + lambda SIGReg. `slices`: random directions of SIGReg a step. `rule`:
    which vector of the transformer is trained. `mean`, `std`: its input is (pixel - mean) / std.
    """

    steps: int = 400
    batch: int = 256
    views: int = 2
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    balance: float = 0.02
    slices: int = 128
    rule: EmbeddingRule = dataclasses.field(default_factory=lambda: EmbeddingRule("cls"))
    mean: float = 0.1315
    std: float = 0.3088
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)


class Losses(NamedTuple):
    """(1 - balance) invariance + balance sigreg, and the two terms."""

    total: Float[Array, ""]
    invariance: Float[Array, ""]
    sigreg: Float[Array, ""]


def initial_model(config: ViTConfig, key: PRNGKeyArray) -> ViT:
    """Random parameters: kernels normal of variance 1 / inputs, tokens and positions normal of
    standard deviation 0.02, norms and LayerScales the identity.
    """
    flat = dict(nnx.to_flat_state(nnx.state(abstract_model(config))))
    arrays = {}
    for path, leaf in sorted(flat.items(), key=lambda item: str(item[0])):
        key, own = jax.random.split(key)
        noise = np.asarray(jax.random.normal(own, leaf.shape))
        name = str(path[-1])
        if name == "kernel":
            array = noise / np.sqrt(leaf.shape[0])
        elif name in ("cls", "positions", "registers"):
            array = 0.02 * noise
        else:
            array = np.full(leaf.shape, 0.0 if name == "bias" else 1.0)
        arrays[".".join(map(str, path))] = array
    return fill(config, arrays, jnp.float32)


def losses(
    graph: nnx.GraphDef,
    state: nnx.State,
    images: Float[Array, "n h w"],
    key: PRNGKeyArray,
    settings: Settings,
) -> Losses:
    """The objective on fresh views of these grey images in [0, 1].

    SIGReg is taken of each view's batch alone, whose rows are independent, and averaged.
    """
    view_key, slice_key = jax.random.split(key)
    view_keys = jax.random.split(view_key, settings.views)
    seen = jax.vmap(views, (None, 0, None))(images, view_keys, settings.augmentation)
    flat = (seen.reshape(-1, *seen.shape[2:]) - settings.mean) / settings.std
    model = nnx.merge(graph, state)
    z = jax.vmap(lambda image: embeddings.embed(model, settings.rule, model.tokens(image)))(flat)
    z = z.reshape(settings.views, -1, z.shape[-1])
    near = invariance(z)
    normal = jax.vmap(lambda view: sigreg(view, slice_key, slices=settings.slices))(z).mean()
    return Losses((1 - settings.balance) * near + settings.balance * normal, near, normal)


def train(
    model: ViT,
    images: Float[np.ndarray, "n h w"],
    key: PRNGKeyArray,
    settings: Settings,
    report: Callable[[int, Losses], None] = lambda step, losses: None,
    report_every: int = 50,
) -> ViT:
    """`model` after `settings.steps` steps of AdamW on random batches of grey images in [0, 1].

    Deterministic in `key` on one platform. `report` gets the step and the mean losses since the
    last report.

    Raises `ValueError` where there are fewer images than `settings.batch`;
    `FloatingPointError` when the loss stops being finite.
    """
    if len(images) < settings.batch:
        raise ValueError(f"`batch` must be at most {len(images)} images, got {settings.batch}")
    graph, state = nnx.split(model)
    # The step gives its arguments' memory to its results: the caller's model keeps its own.
    state = jax.tree.map(jnp.copy, state)
    moments = _optimizer(settings).init(state)
    data = jnp.asarray(images)
    recent = []
    for index, step_key in enumerate(jax.random.split(key, settings.steps), start=1):
        state, moments, found = _step(graph, settings, state, moments, data, step_key)
        recent.append(found)
        if index % report_every == 0 or index == settings.steps:
            mean_losses = jax.tree.map(lambda *parts: np.mean(parts), *recent)
            if not np.isfinite(mean_losses.total):
                raise FloatingPointError(f"the loss at step {index} is not finite: {mean_losses}")
            report(index, mean_losses)
            recent = []
    return nnx.merge(graph, state)


def _optimizer(settings: Settings) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, settings.warmup, max(settings.steps, settings.warmup + 1)
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(
            schedule,
            b2=0.95,
            weight_decay=settings.weight_decay,
            mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree),
        ),
    )


# One program a step: a scan of steps runs slower on a CPU, where its body has one thread.
@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _step(graph, settings: Settings, state, moments, data, key):
    batch_key, loss_key = jax.random.split(key)
    chosen = jax.random.choice(batch_key, len(data), (settings.batch,), replace=False)

    def objective(state):
        found = losses(graph, state, data[chosen], loss_key, settings)
        return found.total, found

    gradient, found = jax.grad(objective, has_aux=True)(state)
    update, moments = _optimizer(settings).update(gradient, moments, state)
    return optax.apply_updates(state, update), moments, found
