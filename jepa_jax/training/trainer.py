"""One trainer for every encoder, objective and source of data: pure, jitted steps."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.encoders.parameters import abstract_model, fill
from jepa_jax.encoders.vision_transformer import ViT
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.training.checkpoints import Checkpoints
from jepa_jax.training.weighted_objective import Objective, evaluate
from jepa_jax.xla import jit

Row = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """AdamW over `steps` steps of `batch` fresh inputs.

    `learning_rate`: the peak, after `warmup` steps, before a cosine to zero. `weight_decay`: of
    arrays of two and more dimensions. `b2`: the decay of Adam's second moment. `clip`: the largest
    norm of a gradient.
    """

    steps: int = 400
    batch: int = 256
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    b2: float = 0.95
    clip: float = 1.0

    def __post_init__(self):
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")

    @property
    def schedule(self) -> optax.Schedule:
        """The learning rate by step."""
        return optax.warmup_cosine_decay_schedule(
            0.0, self.learning_rate, self.warmup, max(self.steps, self.warmup + 1)
        )

    @property
    def transformation(self) -> optax.GradientTransformation:
        """The whole optimizer."""
        return optax.chain(
            optax.clip_by_global_norm(self.clip),
            optax.adamw(
                self.schedule,
                b2=self.b2,
                weight_decay=self.weight_decay,
                mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree),
            ),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """What is learned, apart from the encoder.

    `data`: a pytree, an argument of the compiled step. `sample(data, key, n)`: n inputs (N, ...).
    `views(inputs, key)`: V random views of each (V, N, ...). `embed(model, inputs)`: embeddings
    (M, K) of M inputs. `objective`: see `jepa_jax.training.objective`. All pure.
    """

    data: Any
    sample: Callable[[Any, PRNGKeyArray, int], Array]
    views: Callable[[Array, PRNGKeyArray], Array]
    embed: Callable[[Any, Array], Float[Array, "m k"]]
    objective: Objective


def embed_each(model: Any, inputs: Float[Array, "m *shape"]) -> Float[Array, "m k"]:
    """The embedding of every input, for models that map one."""
    return jax.vmap(model)(inputs)


def initial_model(config: ViTConfig, key: PRNGKeyArray) -> ViT:
    """A vision transformer with random parameters.

    Kernels normal of variance 1 / inputs, tokens and positions normal of standard deviation 0.02,
    norms and LayerScales the identity.
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
    task: Task,
    inputs: Float[Array, "n *shape"],
    key: PRNGKeyArray,
    progress: float | Float[Array, ""] = 1.0,
) -> dict[str, Float[Array, ""]]:
    """The objective on fresh views of these inputs: `total`, and each term by its name.

    `progress`: the share of the training, for weights that change; its end by default.
    """
    view_key, objective_key = jax.random.split(key)
    seen = task.views(inputs, view_key)
    z = task.embed(nnx.merge(graph, state), seen.reshape(-1, *seen.shape[2:]))
    z = z.reshape(seen.shape[0], -1, z.shape[-1])
    return evaluate(task.objective, z, objective_key, progress)


def train(
    model: nnx.Module,
    task: Task,
    key: PRNGKeyArray,
    optimizer: Optimizer = Optimizer(),
    *,
    report: Callable[[Row], None] = lambda row: None,
    report_every: int = 50,
    watch: Callable[[int, nnx.Module], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> nnx.Module:
    """`model` after `optimizer.steps` steps on random inputs of `task`; `model` itself stays.

    Deterministic in `key` on one platform: the key of a step depends on its number alone, so a run
    that was stopped and continued from `checkpoints` ends where an unbroken one does, to the bit.
    `report` gets `step`, the mean losses since the last report, `learning_rate` and `seconds`.
    `watch` gets the step and the model, before the first step and after every report.

    Raises `FloatingPointError` when the loss stops being finite.
    """
    graph, state = nnx.split(model)
    # The step gives its arguments' memory to its results: the caller's model keeps its own.
    state = jax.tree.map(jnp.copy, state)
    carry = (state, optimizer.transformation.init(state))
    begun, first = time.perf_counter(), 0
    if checkpoints is not None:
        carry, first = checkpoints.restore(carry)
    if watch and not first:
        watch(0, model)
    # One program a step: a scan of steps runs slower on a CPU, where its body has one thread.
    step = jit(functools.partial(_step, graph, task, optimizer), donate_argnums=0)
    # The data a pytree of arrays on the device, rather than copied there at every step.
    data = jax.tree.map(jnp.asarray, task.data)
    keys = jax.random.split(key, optimizer.steps)
    recent = []
    for index in range(first + 1, optimizer.steps + 1):
        carry, found = step(carry, data, keys[index - 1], np.float32(index - 1))
        recent.append(found)
        last = index == optimizer.steps
        if index % report_every == 0 or last:
            row = {k: float(np.mean([r[k] for r in recent])) for k in found}
            if not np.isfinite(row["total"]):
                raise FloatingPointError(f"the loss at step {index} is not finite: {row}")
            rate = float(np.asarray(optimizer.schedule(index)))
            seconds = round(time.perf_counter() - begun, 3)
            report({"step": index, **row, "learning_rate": rate, "seconds": seconds})
            recent = []
            if watch:
                watch(index, nnx.merge(graph, jax.tree.map(jnp.copy, carry[0])))
        # After the report: what a checkpoint leaves behind is in the log.
        if checkpoints is not None and (index % checkpoints.every == 0 or last):
            checkpoints.save(carry, index)
    return nnx.merge(graph, carry[0])


def _step(graph, task: Task, optimizer: Optimizer, carry, data, key, index):
    state, moments = carry
    batch_key, loss_key = jax.random.split(key)
    inputs = task.sample(data, batch_key, optimizer.batch)
    progress = index / max(optimizer.steps - 1, 1)

    def objective(state):
        found = losses(graph, state, task, inputs, loss_key, progress)
        return found["total"], found

    gradient, found = jax.grad(objective, has_aux=True)(state)
    update, moments = optimizer.transformation.update(gradient, moments, state)
    return (optax.apply_updates(state, update), moments), found
