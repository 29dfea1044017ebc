"""A training described by one TOML file: data, encoder, views, objective, optimizer, seed.

    seed = 0
    [data]           density = "isotropic" (and its settings), or images = "digits"
    [encoder]        kind = "mlp" | "resnet" | "vit", and its settings
    [views]          count, and either noise alone or the settings of `Augmentation`
    [objective.NAME] weight (a number, or [start, end]), and the settings of the term
    [optimizer]      see `jepa_jax.training.trainer.Optimizer`

`jepa_jax/training/configs/` holds the committed ones.
"""

import dataclasses
import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.atomic_files import replace
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.families import find_family
from jepa_jax.training import augment
from jepa_jax.training.networks import MLP, MLPConfig, ResNet, ResNetConfig
from jepa_jax.training.trainer import Optimizer, Task, embed_each, initial_model
from jepa_jax.training.weighted_objective import make_objective

CONFIGS = Path(__file__).parent / "configs"
_TABLES = ("data", "encoder", "views", "objective", "optimizer")
_NETWORKS = {"mlp": (MLP, MLPConfig), "resnet": (ResNet, ResNetConfig)}


@dataclasses.dataclass(frozen=True)
class Training:
    """A configuration: `tables` as in the file, and what they make.

    `model()`: a new encoder, random by the seed. `task`: data, views, embedding, objective.
    """

    seed: int
    tables: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, name_or_path: str | Path, changes: Mapping[str, Any] | None = None) -> "Training":
        """From a TOML file, or the name of a committed one; `changes` by dotted name.

        Raises `FileNotFoundError`, naming the committed ones, and `ValueError` on a table or
        setting that there is not.

        >>> from jepa_jax.training.config import Training
        >>> Training.read("plane-sphere", {"optimizer.steps": 10}).optimizer.steps
        10
        """
        path = Path(name_or_path)
        if not path.is_file():
            path = CONFIGS / f"{name_or_path}.toml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
            raise FileNotFoundError(
                f"no configuration {str(name_or_path)!r}: neither a file nor one of {known}"
            )
        return cls.of(tomllib.loads(path.read_text()), changes)

    @classmethod
    def of(cls, tables: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> "Training":
        """From what a TOML file holds."""
        tables = {k: dict(v) if isinstance(v, Mapping) else v for k, v in tables.items()}
        for name, value in (changes or {}).items():
            _change(tables, name, value)
        seed = tables.pop("seed", 0)
        if tables.keys() != set(_TABLES):
            raise ValueError(
                f"a configuration has `seed` and the tables {', '.join(_TABLES)}; "
                f"got {', '.join(map(str, tables))}"
            )
        made = cls(seed, tables)
        made.check()
        return made

    def check(self) -> None:
        """Raises `ValueError` on mistakes that can be found before the data is read."""
        settings = (self.optimizer, self.views, make_objective(self.tables["objective"]))
        assert all(settings)

    @property
    def init_key(self) -> PRNGKeyArray:
        """The key of the initial parameters."""
        return jax.random.split(jax.random.key(self.seed))[0]

    @property
    def train_key(self) -> PRNGKeyArray:
        """The key of batches, views and slices."""
        return jax.random.split(jax.random.key(self.seed))[1]

    @functools.cached_property
    def optimizer(self) -> Optimizer:
        """How it is trained."""
        return _make(Optimizer, self.tables["optimizer"], "optimizer")

    @functools.cached_property
    def views(self):
        """Views of a batch of inputs by a key."""
        settings = dict(self.tables["views"])
        count = settings.pop("count", 2)
        if self.tables["data"].get("images") is None:
            noise = settings.pop("noise", 0.0)
            if settings:
                raise ValueError(f"`views` of points has count and noise; got {sorted(settings)}")
            return functools.partial(noisy_views, count=count, noise=noise)
        augmentation = _make(augment.Augmentation, settings, "views")
        encoder = self.tables["encoder"]
        # A residual network has its own mean and standard deviation.
        mean, std = (encoder["mean"], encoder["std"]) if encoder["kind"] == "vit" else (0.0, 1.0)
        grey = encoder.get("channels", 3) == 1
        return functools.partial(
            augmented_views,
            count=count,
            augmentation=augmentation,
            mean=mean,
            std=std,
            grey=grey,
        )

    @functools.cached_property
    def density(self):
        """The density that is sampled, or None."""
        from jepa_jax.densities.named import load_density

        settings = dict(self.tables["data"])
        name = settings.pop("density", None)
        return None if name is None else load_density(name, **settings)

    def model(self) -> nnx.Module:
        """The encoder before training."""
        settings = dict(self.tables["encoder"])
        kind = settings.pop("kind", None)
        if kind == "vit":
            return initial_model(find_family(settings).config(settings), self.init_key)
        if kind not in _NETWORKS:
            raise ValueError(f"`encoder.kind` must be one of mlp, resnet, vit; got {kind!r}")
        network, config = _NETWORKS[kind]
        return network(_make(config, settings, "encoder"), rngs=nnx.Rngs(self.init_key))

    @functools.cached_property
    def task(self) -> Task:
        """What is learned."""
        objective = make_objective(self.tables["objective"])
        embed = embed_each
        if self.tables["encoder"]["kind"] == "vit":
            rule = EmbeddingRule.parse(self.tables["encoder"].get("rule", "cls"))
            embed = functools.partial(embed_tokens, rule)
        if self.density is not None:
            return Task(self.density, _sample_density, self.views, embed, objective)
        if self.tables["data"] != {"images": "digits"}:
            raise ValueError(
                f"`data` must have a density, or images = 'digits'; got {dict(self.tables['data'])}"
            )
        from jepa_jax.training.digits import load_digits

        images = load_digits()[0].images
        if len(images) < self.optimizer.batch:
            raise ValueError(
                f"`batch` must be at most {len(images)} images, got {self.optimizer.batch}"
            )
        return Task(images, choose, self.views, embed, objective)


def noisy_views(
    inputs: Float[Array, "n *shape"], key: PRNGKeyArray, *, count: int, noise: float
) -> Float[Array, "v n *shape"]:
    """`count` copies of every input, each with independent normal noise.

    Their invariance, (1 - 1/count) noise^2 E|J|_F^2 / K to leading order, is the Dirichlet energy
    of the encoder.
    """
    shape = (count, *inputs.shape)
    return inputs[None] + noise * jax.random.normal(key, shape, inputs.dtype)


def augmented_views(
    images: Float[Array, "n h w"],
    key: PRNGKeyArray,
    *,
    count: int,
    augmentation: augment.Augmentation,
    mean: float,
    std: float,
    grey: bool = False,
) -> Float[Array, "v n h w c"]:
    """`count` random views of grey images in [0, 1], less `mean`, over `std`."""
    keys = jax.random.split(key, count)
    seen = jax.vmap(augment.views, (None, 0, None))(images, keys, augmentation)
    seen = (seen - mean) / std
    return seen.mean(-1, keepdims=True) if grey else seen


def embed_tokens(
    rule: EmbeddingRule, model: Any, images: Float[Array, "m h w c"]
) -> Float[Array, "m k"]:
    """Embeddings of a vision transformer."""
    return jax.vmap(lambda image: embeddings.embed(model, rule, model.tokens(image)))(images)


def choose(data: Float[Array, "n *shape"], key: PRNGKeyArray, n: int) -> Float[Array, "m *shape"]:
    """`n` different elements of `data`."""
    return data[jax.random.choice(key, len(data), (n,), replace=False)]


def _sample_density(density, key: PRNGKeyArray, n: int) -> Array:
    return density.sample(key, n)


def _make(kind, settings: Mapping[str, Any], table: str):
    """A dataclass from a table; an unknown name is an error that lists the known ones."""
    known = [field.name for field in dataclasses.fields(kind)]
    if unknown := sorted(settings.keys() - set(known)):
        raise ValueError(f"`{table}` has the settings {', '.join(known)}; got {', '.join(unknown)}")
    return kind(**settings)


def _change(tables: dict[str, Any], name: str, value: Any) -> None:
    """Sets one value by its dotted name."""
    *path, last = name.split(".")
    for part in path:
        if not isinstance(tables.get(part), Mapping):
            raise ValueError(f"no table {part!r} in the configuration, for {name!r}")
        tables[part] = dict(tables[part])
        tables = tables[part]
    tables[last] = value


def write_model(folder: Path, model: nnx.Module) -> None:
    """The parameters by name, as safetensors."""
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    flat = {
        ".".join(map(str, path)): np.asarray(leaf.get_value())
        for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    replace(folder / "model.safetensors", lambda file: file.write(save(flat)))


def read_model(folder: Path, training: Training) -> nnx.Module:
    """The encoder that `write_model` wrote. Raises `ValueError` where it is of another one."""
    from safetensors.numpy import load_file

    arrays = load_file(folder / "model.safetensors")
    graph, state = nnx.split(nnx.eval_shape(training.model))
    flat = dict(nnx.to_flat_state(state))
    names = {".".join(map(str, path)): path for path in flat}
    shapes = {name: flat[path].shape for name, path in names.items()}
    found = {name: array.shape for name, array in arrays.items()}
    if shapes != found:
        differ = sorted(n for n in shapes.keys() | found.keys() if shapes.get(n) != found.get(n))
        raise ValueError(f"{folder} holds another encoder: {differ} differ")
    for name, path in names.items():
        flat[path] = flat[path].replace(jnp.asarray(arrays[name]))
    return nnx.merge(graph, nnx.from_flat_state(flat))
