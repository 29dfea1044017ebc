"""`Encoder`: a pretrained vision encoder as a pure function and its state."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from PIL import Image

from jepa_jax.clip_frames import FRAMES, split_frames
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.covariates import covariates
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.parameters import abstract_model
from jepa_jax.encoders.preprocessing import Preprocess
from jepa_jax.encoders.vision_transformer import Pixels, ViT
from jepa_jax.xla import check_reductions


@dataclasses.dataclass(frozen=True)
class Origin:
    """The arguments of `load_encoder` that an encoder was made by."""

    name_or_path: str
    embedding: str | None
    image_size: int | None
    dtype: str
    frames: int | None = None


class Encoder:
    """A pretrained encoder: a pure function of (state, image), and what defines it.

    `state`: the parameters, a pytree to pass to jitted functions. `config`: the transformer's
    shape. `rule`: the embedding rule. `inner`: further ones, whose scores are wanted beside.
    `image_size`: the side, in pixels, that `preprocess` gives.
    `fingerprint`: SHA-256 of configuration, preprocessing and weights. `origin`: where it was
    loaded from, None where it was made in memory. Made by `load_encoder`.

    >>> from jepa_jax import load_encoder
    >>> encoder = load_encoder("embedded")
    >>> encoder.embedding_size, encoder.image_size, str(encoder.rule)
    (64, 28, 'cls')
    """

    def __init__(
        self,
        name: str,
        model: ViT,
        rule: EmbeddingRule,
        image_size: int,
        preprocess: Preprocess,
        fingerprint: str,
        origin: Origin | None = None,
        inner: Sequence[EmbeddingRule] = (),
    ):
        for each in (*inner, rule):
            each.check(model.config)
        model.config.grid(image_size, image_size)
        self.name, self.config, self.rule = name, model.config, rule
        self.inner = tuple(inner)
        self.image_size, self.fingerprint = image_size, fingerprint
        self.origin = origin
        self._preprocess = preprocess
        self._graph, self.state = nnx.split(model)

    def __getstate__(self) -> dict:
        # The graph holds functions that cannot be pickled; the configuration makes it anew.
        return {name: value for name, value in self.__dict__.items() if name != "_graph"}

    def __setstate__(self, saved: dict) -> None:
        self.__dict__.update(saved)
        self._graph = nnx.graphdef(abstract_model(self.config))

    def __repr__(self) -> str:
        rules = ",".join(map(str, self.rules))
        return f"Encoder({self.name!r}, embedding={rules!r}, image_size={self.image_size})"

    @property
    def rules(self) -> tuple[EmbeddingRule, ...]:
        """All embedding rules, `rule` the last."""
        return (*self.inner, self.rule)

    @property
    def embedding_size(self) -> int:
        """K, the number of embedding coordinates."""
        return self.rule.size(self.config)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what `preprocess` gives; where inputs have sizes of their
        own, of the usual one."""
        side, config = self.image_size, self.config
        height = side if config.frames is None else side * config.frames * 3 // config.channels
        return height, side, config.channels

    @property
    def parameter_bytes(self) -> int:
        """Of the state."""
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.state))

    def _model(self, state: nnx.State) -> ViT:
        check_reductions()
        return nnx.merge(self._graph, state)

    def embed(self, state: nnx.State, image: Pixels) -> Float[Array, " k"]:
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
        vit = self._model(state)
        return embeddings.embed(
            vit, self.rule, vit.tokens(image), self.config.grid(*image.shape[:2])
        )

    def coordinates(self, state: nnx.State, image: Pixels) -> Float[Array, "rows columns n"]:
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
        return self._model(state).coordinates(image)

    def embed_coordinates(
        self, state: nnx.State, coordinates: Float[Array, "rows columns n"]
    ) -> Float[Array, " k"]:
        """The embedding of the image that has these `coordinates`."""
        vit = self._model(state)
        rows, columns, _ = coordinates.shape
        return embeddings.embed(vit, self.rule, vit.tokens_at(coordinates), (rows, columns))

    def embed_coordinates_each(
        self, state: nnx.State, coordinates: Float[Array, "rows columns n"]
    ) -> list[Float[Array, " _"]]:
        """`embed_coordinates` by each of `rules`, every block evaluated once for all.

        >>> import jax, numpy as np
        >>> from jepa_jax import load_encoder
        >>> encoder = load_encoder("embedded", embedding="cls@1,mean@1,cls")
        >>> image = np.ones((encoder.image_size, encoder.image_size, 3), np.float32)
        >>> u = encoder.coordinates(encoder.state, image)
        >>> each = jax.jit(encoder.embed_coordinates_each)(encoder.state, u)
        >>> [z.shape for z in each]
        [(64,), (64,), (64,)]
        """
        vit = self._model(state)
        rows, columns, _ = coordinates.shape
        return embeddings.embed_each(vit, self.rules, vit.tokens_at(coordinates), (rows, columns))

    def hidden_states(self, state: nnx.State, image: Pixels) -> list[Array]:
        """The tokens (T, D) entering the first block and leaving each, before the final norm."""
        return self._model(state).hidden_states(image)

    def null_basis(
        self,
        state: nnx.State,
        embedding: Float[Array, " k"],
        rule: EmbeddingRule | None = None,
        coordinates: Float[Array, "rows columns n"] | None = None,
    ) -> Float[Array, "k r"]:
        """Orthonormal left-null directions of the embedding's Jacobian, in closed form.

        By `rule`, the encoder's own by default.

        R depends on the embedding rule: 2 for a CLS token after its LayerNorm, 1 for a mean of
        patch tokens, 0 for a projection to few coordinates; see
        `jepa_jax.encoders.embedding.null_basis`. Those of a projector to more coordinates than the
        encoder has need the image's `coordinates` too, and one forward pass; `ValueError` without.
        """
        vit, rule, token = self._model(state), rule or self.rule, None
        if rule.pool == "projector" and coordinates is not None:
            rows, columns, _ = coordinates.shape
            token = embeddings.embed_token(vit, rule, vit.tokens_at(coordinates), (rows, columns))
        return embeddings.null_basis(vit, rule, embedding, token)

    def covariates(
        self, state: nnx.State, coordinates: Float[Array, "rows columns n"]
    ) -> dict[str, Array]:
        """Features of an image for calibrated estimators: see `jepa_jax.encoders.covariates`."""
        vit = self._model(state)
        rows, columns, _ = coordinates.shape
        return covariates(vit, self.rule, vit.tokens_at(coordinates), (rows, columns))

    @property
    def placement(self) -> dict[str, Any]:
        """How an input lies in its image (`Preprocess.placement`); of a clip "other"."""
        if self.config.frames is not None:
            return {"cut": "other", "short_edge": 0, "side": 0}
        return self._preprocess.placement

    def preprocess(self, image: Image.Image) -> Float[np.ndarray, "h w c"]:
        """One PIL image as the encoder's input: float32, (image_size, image_size, channels).

        Of an encoder of clips, an image repeated, or a clip as `jepa_jax.data.Clips` gives it.

        >>> from PIL import Image
        >>> from jepa_jax import load_encoder
        >>> encoder = load_encoder("embedded")
        >>> encoder.preprocess(Image.new("RGB", (100, 80))).dtype
        dtype('float32')
        """
        if self.config.frames is not None and FRAMES in image.info:
            return self.preprocess_clip(split_frames(image))
        return self._repeated(self._preprocess(image, True))

    def normalize(self, image: Image.Image) -> Float[np.ndarray, "h w c"]:
        """Like `preprocess`, of an image that has the input's size: no resize, no crop."""
        return self._repeated(self._preprocess(image, False))

    def preprocess_clip(self, frames: Sequence[Image.Image]) -> Float[np.ndarray, "h w c"]:
        """The frames of a clip as the encoder's input, of an encoder loaded with `frames`.

        Its tubelets one below the other, the channels of their frames side by side:
        (frames / tubelet x image_size, image_size, tubelet x 3).

        Raises `ValueError` on another number of frames, and where the encoder is of images.
        """
        if self.config.frames is None:
            raise ValueError(f"{self!r} encodes images: load it with `frames` for clips")
        if len(frames) != self.config.frames:
            raise ValueError(f"`frames` must be {self.config.frames}, got {len(frames)}")
        return self._clip(np.stack([self._preprocess(frame, True) for frame in frames]))

    def _repeated(self, image: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "rows w c2"]:
        """A still image as the input: itself, or a clip of nothing else."""
        if self.config.frames is None:
            return image
        return self._clip(np.broadcast_to(image, (self.config.frames, *image.shape)))

    def _clip(self, frames: Float[np.ndarray, "t h w c"]) -> Float[np.ndarray, "rows w c2"]:
        t, height, width, channels = frames.shape
        tubelet = self.config.channels // channels
        split = frames.reshape(t // tubelet, tubelet, height, width, channels)
        return split.transpose(0, 2, 3, 1, 4).reshape(-1, width, self.config.channels)
