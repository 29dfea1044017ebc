"""`Encoder` and `load_encoder`: a pretrained vision encoder as a pure function and its state."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float
from PIL import Image

from jepa_jax.encoders import checkpoint, clip, dinov2, ijepa
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.checkpoint import Stored
from jepa_jax.encoders.covariates import covariates
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Family
from jepa_jax.encoders.preprocessing import Preprocess, load_preprocess
from jepa_jax.encoders.vit import ViT, ViTConfig

FAMILIES: tuple[Family, ...] = (dinov2.FAMILY, ijepa.FAMILY, clip.FAMILY)
EMBEDDED = Path(__file__).parent.parent / "assets" / "embedded"


class Encoder:
    """A pretrained encoder: a pure function of (state, image), and what defines it.

    `state`: the parameters, a pytree to pass to jitted functions. `config`: the transformer's
    shape. `rule`: the embedding rule. `image_size`: the side, in pixels, that `preprocess` gives.
    `fingerprint`: SHA-256 of configuration, preprocessing and weights. Made by `load_encoder`.
    """

    def __init__(
        self,
        name: str,
        model: ViT,
        rule: EmbeddingRule,
        image_size: int,
        preprocess: Preprocess,
        fingerprint: str,
    ):
        rule.check(model.config)
        model.config.grid(image_size, image_size)
        self.name, self.config, self.rule = name, model.config, rule
        self.image_size, self.fingerprint = image_size, fingerprint
        self._preprocess = preprocess
        self._graph, self.state = nnx.split(model)

    def __getstate__(self) -> dict:
        # The graph holds functions that cannot be pickled; the configuration makes it anew.
        return {name: value for name, value in self.__dict__.items() if name != "_graph"}

    def __setstate__(self, saved: dict) -> None:
        self.__dict__.update(saved)
        self._graph = nnx.graphdef(abstract_model(self.config))

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, embedding={str(self.rule)!r}, image_size={self.image_size})"

    @property
    def embedding_size(self) -> int:
        """K, the number of embedding coordinates."""
        return self.rule.size(self.config)

    def embed(self, state: nnx.State, image: Float[Array, "h w c"]) -> Float[Array, " k"]:
        """The embedding of one preprocessed image; any sides that the patch size divides.

        Pure: `jax.vmap` it over images, `jax.jit` it with the state as an argument.

        >>> import jax, numpy as np
        >>> from jepa_jax import load_encoder
        >>> encoder = load_encoder("embedded")
        >>> images = np.zeros((2, encoder.image_size, encoder.image_size, 3), np.float32)
        >>> z = jax.jit(jax.vmap(encoder.embed, (None, 0)))(encoder.state, images)
        >>> z.shape == (2, encoder.embedding_size)
        True
        """
        vit = nnx.merge(self._graph, state)
        return embeddings.embed(vit, self.rule, vit.tokens(image))

    def coordinates(self, state: nnx.State, image: Float[Array, "h w c"]) -> Float[Array, "r c n"]:
        """The image in orthonormal coordinates of all that the encoder sees of it.

        Its patches (rows, columns, n), n the smaller of a patch's pixels and the encoder's width.
        `embed_coordinates` of these is `embed` of the image, to rounding, and its Jacobian has the
        same singular values and at most as many columns D: the input to differentiate in.

        >>> import jax, numpy as np
        >>> from jepa_jax import load_encoder
        >>> encoder = load_encoder("embedded")
        >>> image = np.ones((encoder.image_size, encoder.image_size, 3), np.float32)
        >>> u = encoder.coordinates(encoder.state, image)
        >>> z = jax.jit(encoder.embed_coordinates)(encoder.state, u)
        >>> bool(abs(z - jax.jit(encoder.embed)(encoder.state, image)).max() < 1e-5)
        True
        """
        return nnx.merge(self._graph, state).coordinates(image)

    def embed_coordinates(
        self, state: nnx.State, coordinates: Float[Array, "r c n"]
    ) -> Float[Array, " k"]:
        """The embedding of the image that has these `coordinates`."""
        vit = nnx.merge(self._graph, state)
        return embeddings.embed(vit, self.rule, vit.tokens_at(coordinates))

    def hidden_states(self, state: nnx.State, image: Float[Array, "h w c"]) -> list[Array]:
        """The tokens (T, D) entering the first block and leaving each, before the final norm."""
        return nnx.merge(self._graph, state).hidden_states(image)

    def null_basis(self, state: nnx.State, embedding: Float[Array, " k"]) -> Float[Array, "k r"]:
        """Orthonormal left-null directions of the embedding's Jacobian, in closed form.

        R depends on the embedding rule: 2 for a CLS token after its LayerNorm, 1 for a mean of
        patch tokens, 0 for a projection; see `jepa_jax.encoders.embedding.null_basis`.
        """
        return embeddings.null_basis(nnx.merge(self._graph, state), self.rule, embedding)

    def covariates(self, state: nnx.State, coordinates: Float[Array, "r c n"]) -> dict[str, Array]:
        """Features of an image for calibrated estimators: see `jepa_jax.encoders.covariates`."""
        vit = nnx.merge(self._graph, state)
        return covariates(vit, self.rule, vit.tokens_at(coordinates))

    def preprocess(self, image: Image.Image) -> Float[np.ndarray, "h w c"]:
        """One PIL image as the encoder's input: float32, (image_size, image_size, channels).

        >>> from PIL import Image
        >>> from jepa_jax import load_encoder
        >>> encoder = load_encoder("embedded")
        >>> encoder.preprocess(Image.new("RGB", (100, 80))).dtype
        dtype('float32')
        """
        return self._preprocess(image, True)

    def normalize(self, image: Image.Image) -> Float[np.ndarray, "h w c"]:
        """Like `preprocess`, of an image that has the input's size: no resize, no crop."""
        return self._preprocess(image, False)


def load_encoder(
    name_or_path: str | Path,
    *,
    embedding: str | EmbeddingRule | None = None,
    image_size: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Encoder:
    """A pretrained encoder from a checkpoint folder, from the hub by name, or "embedded".

    A folder holds config.json, preprocessor_config.json and model.safetensors (or its shards), as
    `transformers` writes them. A hub name such as "facebook/dinov2-small" is downloaded once, and
    found in the hub's cache when offline. "embedded" is the small encoder that comes with the
    package. `embedding` overrides the family's rule ("cls", "mean", "projected", "cls@8", each with
    an optional "+normalized"); `image_size` the side of the input in pixels; `dtype` the type of
    the parameters in memory, whatever it is on disk.

    Raises `FileNotFoundError` where there is no such checkpoint; `ValueError` on an unknown family
    (naming the known ones), on weights that do not fit (listing every tensor missing, left over or
    of another shape), and on an embedding rule or image size that the encoder cannot have.

    >>> from jepa_jax import load_encoder
    >>> load_encoder("embedded").embedding_size
    64
    """
    folder = EMBEDDED if str(name_or_path) == "embedded" else checkpoint.find(name_or_path)
    hub = checkpoint.read_json(folder / "config.json")
    family = find_family(hub.get("model_type"))
    config = family.config(hub)
    rule = EmbeddingRule.parse(embedding) if isinstance(embedding, str) else embedding
    arrays = checkpoint.read_parameters(
        folder, family.parameters(config), family.ignored, family.prefixes
    )
    model = fill(config, arrays, dtype)
    preprocess = load_preprocess(folder, image_size)
    side = image_size
    if side is None:
        # What the preprocessing gives, not config.json: DINOv2 has 518 there, and is used at 224.
        side = preprocess(Image.new("RGB", (64, 64)), True).shape[0]
    return Encoder(
        name=str(name_or_path),
        model=model,
        rule=rule or family.rule(config),
        image_size=side,
        preprocess=preprocess,
        fingerprint=checkpoint.fingerprint(folder),
    )


def find_family(model_type: str | None) -> Family:
    """The family of a checkpoint's `model_type`; `ValueError` lists the known ones."""
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = {t: f.name for f in FAMILIES for t in f.model_types}
    raise ValueError(
        f"config.json: `model_type` must be one of "
        f"{', '.join(f'{t} ({name})' for t, name in known.items())}; got {model_type!r}"
    )


def abstract_model(config: ViTConfig) -> ViT:
    """The transformer of this shape without memory for its parameters."""
    return nnx.eval_shape(functools.partial(ViT, config))


def fill(config: ViTConfig, arrays: dict[str, np.ndarray], dtype: DTypeLike) -> ViT:
    """A transformer with these parameters, by our names, as `dtype`."""
    model = abstract_model(config)
    graph, state = nnx.split(model)
    flat = dict(nnx.to_flat_state(state))
    names = {".".join(map(str, path)): path for path in flat}
    if names.keys() != arrays.keys():
        raise ValueError(
            f"parameters do not match: {sorted(names.keys() ^ arrays.keys())} on one side only"
        )
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    for name, path in names.items():
        array = np.asarray(arrays[name])
        if array.shape != flat[path].shape:
            raise ValueError(f"`{name}` must have shape {flat[path].shape}, got {array.shape}")
        flat[path] = flat[path].replace(jnp.asarray(array.astype(dtype)))
    return nnx.merge(graph, nnx.from_flat_state(flat))


def stored_parameters(hub: dict) -> dict[str, Stored]:
    """Our parameter names to stored tensors, for a configuration in the hub's form."""
    family = find_family(hub.get("model_type"))
    return family.parameters(family.config(hub))
