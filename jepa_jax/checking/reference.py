"""The same checkpoint in PyTorch, by `transformers` or timm: what ours is compared with."""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL import Image

from jepa_jax.checked_json import read_json
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.families import find_family
from jepa_jax.encoders.families.timm import TimmConfig
from jepa_jax.encoders.image_processor import processor_file
from jepa_jax.encoders.loading import EMBEDDED
from jepa_jax.encoders.reading import find, weight_files
from jepa_jax.error_lines import first_line

Processor = Callable[[Image.Image], Float[np.ndarray, "h w c"]]

# Of normalised pixels, which are below 4: timm divides by 255, where others multiply.
_ROUNDING = 2.0**-21


class NoReference(Exception):
    """There is nothing to compare with, and why."""


@runtime_checkable
class Reference(Protocol):
    """A checkpoint in PyTorch, float64. `pixels`: (1, C, H, W). `patches_alone`: whether hidden
    states are those leaving blocks, of patches, without what enters the first and other tokens.
    `resizes_in_float32`: whether positions are resized in float32 for the encoder's input."""

    name: str
    patches_alone: bool
    resizes_in_float32: bool

    def hidden_states(self, pixels: Any) -> list[np.ndarray]:
        """The tokens (T, D) entering the first block and leaving each."""
        ...

    def embedding(self, pixels: Any, rule: EmbeddingRule) -> Any:
        """(1, K), differentiable; `NoReference` on a rule that the library has not."""
        ...


def folder_of(encoder: Encoder) -> Path:
    """Where an encoder was loaded from; `ValueError` where it was made in memory."""
    if encoder.origin is None:
        raise ValueError(f"{encoder!r} was made in memory: there is no checkpoint to check")
    name = encoder.origin.name_or_path
    return EMBEDDED if name == "embedded" else find(name)


def load_reference(encoder: Encoder) -> Reference:
    """The checkpoint of an encoder in PyTorch; `NoReference` says what is missing."""
    folder = folder_of(encoder)
    hub = read_json(folder / "config.json")
    library = _library(hub)
    try:
        import torch

        return (_Transformers if library == "transformers" else _Timm)(folder, hub, encoder, torch)
    except NoReference:
        raise
    except Exception as error:  # Whatever another library raises, or lacks.
        raise _nothing(f"no PyTorch model by {library} here", library, error) from error


def load_processor(encoder: Encoder) -> tuple[Processor, float]:
    """What prepares an RGB image for the checkpoint of an encoder, by the library that it is for,
    and how far from that ours may be; `NoReference` says what is missing."""
    folder = folder_of(encoder)
    hub = read_json(folder / "config.json")
    library = "transformers" if processor_file(folder) is not None else _library(hub)
    try:
        if library == "transformers":
            return _transformers_processor(encoder), 0.0
        return _timm_processor(encoder), _ROUNDING
    except Exception as error:  # As above.
        raise _nothing(f"no processor by {library} here", library, error) from error


def _library(hub: Mapping[str, Any]) -> str:
    return "transformers" if hub.get("model_type") else "timm"


_NEEDS = {
    "transformers": "'jepa-jax[check]' torch",
    "timm": "'jepa-jax[check]' torch torchvision timm",
}


def _nothing(what: str, library: str, error: Exception) -> NoReference:
    reason = f"{type(error).__name__}: {first_line(error)[:120]}"
    lacks = isinstance(error, ModuleNotFoundError)
    way = f"; `pip install {_NEEDS[library]}`" if lacks else ""
    return NoReference(f"{what} ({reason}){way}")


def _transformers_processor(encoder: Encoder) -> Processor:
    from transformers import AutoImageProcessor

    processor: Any = AutoImageProcessor.from_pretrained(
        folder_of(encoder), backend="pil", local_files_only=True
    )
    assert encoder.origin is not None
    settings = {}
    if encoder.origin.image_size is not None:
        settings = encoder._preprocess.overrides

    def prepared(image: Image.Image) -> np.ndarray:
        try:
            found = processor(image, return_tensors="np", **settings)["pixel_values"][0]
        except ImportError as error:
            raise NoReference(f"transformers cannot run its own ({error})") from error
        return np.asarray(found, np.float32).transpose(1, 2, 0)

    return prepared


def _timm_processor(encoder: Encoder) -> Processor:
    data: Any = importlib.import_module("timm.data")
    stated = read_json(folder_of(encoder) / "config.json").get("pretrained_cfg", {})
    settings = data.resolve_data_config(pretrained_cfg=stated)
    assert encoder.origin is not None
    if (side := encoder.origin.image_size) is not None:
        settings |= {"input_size": (3, side, side)}
    transform = data.create_transform(**settings, is_training=False)
    return lambda image: transform(image).numpy().transpose(1, 2, 0)


class _Transformers:
    """A model of `transformers`, its image tower, and what is to be said to it."""

    patches_alone = False

    def __init__(self, folder: Path, hub: dict, encoder: Encoder, torch: Any):
        import transformers

        if encoder.config.rotary_in_time:
            raise NoReference(
                "the comparison with transformers is of encoders of images, not videos"
            )
        self.name = f"transformers {transformers.__version__}"
        stored = encoder.config.image_size
        own = str(hub.get("model_type")).startswith("dinov2")
        self.resizes_in_float32 = own and encoder.input_shape[:2] != (stored, stored)
        self.config = encoder.config
        named = getattr(transformers, str((hub.get("architectures") or [""])[0]), None)
        known = inspect.isclass(named) and issubclass(named, transformers.PreTrainedModel)
        kind: Any = named if known else transformers.AutoModel
        said = transformers.logging.get_verbosity()
        transformers.logging.set_verbosity_error()  # Of heads that are not read.
        bar = transformers.logging.is_progress_bar_enabled()
        transformers.logging.disable_progress_bar()
        try:
            self.model: Any = kind.from_pretrained(
                folder, dtype=torch.float64, local_files_only=True
            )
        finally:
            transformers.logging.set_verbosity(said)
            if bar:
                transformers.logging.enable_progress_bar()
        self.model = self.model.eval()
        _keep_double(self.model, torch)
        base = self.model.base_model
        self.tower: Any = getattr(self.model, "vision_model", getattr(base, "vision_model", base))
        self.extra: dict[str, Any] = {}
        if "interpolate_pos_encoding" in inspect.signature(self.tower.forward).parameters:
            self.extra["interpolate_pos_encoding"] = True
        self.masked = hub.get("model_type") == "vit_mae"
        if self.masked:
            self.tower.config.mask_ratio = 0.0
        self.torch = torch

    def _output(self, pixels: Any) -> Any:
        extra = dict(self.extra)
        if self.masked:  # The noise that leaves the patches in their order.
            patches = int(np.prod(self.config.grid(*pixels.shape[-2:])))
            extra["noise"] = self.torch.arange(patches, dtype=pixels.dtype)[None]
        return self.tower(pixel_values=pixels, output_hidden_states=True, **extra)

    def hidden_states(self, pixels: Any) -> list[Float[np.ndarray, "t d"]]:
        with self.torch.no_grad():
            return [h[0].numpy() for h in self._output(pixels).hidden_states]

    def embedding(self, pixels: Any, rule: EmbeddingRule) -> Any:
        out = self._output(pixels)
        if rule.layer is not None:
            tokens = out.hidden_states[rule.layer]
        elif self.config.input_norm:  # CLIP's, which norms the pooled token alone.
            tokens = self.tower.post_layernorm(out.last_hidden_state)
        else:
            tokens = out.last_hidden_state
        if rule.pool == "pooled":
            z = out.pooler_output
        else:
            z = tokens[:, 0] if rule.pool == "cls" else tokens[:, self.config.prefix :].mean(1)
        if rule.projected:
            projection = getattr(self.model, "visual_projection", None)
            if projection is None:
                raise NoReference(f"{type(self.model).__name__} has no projection")
            z = projection(z)
        return z / z.norm(dim=-1, keepdim=True) if rule.normalized else z


def _keep_double(model: Any, torch: Any) -> None:
    """AIMv2's norms round whatever they are given to float32: PyTorch's own in their places."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child).__name__ == "Aimv2RMSNorm":
                norm = torch.nn.RMSNorm(child.weight.shape, child.variance_epsilon)
                norm.weight = child.weight
                setattr(module, name, norm)


class _Timm:
    """A model of timm."""

    patches_alone = True
    resizes_in_float32 = False

    def __init__(self, folder: Path, hub: dict, encoder: Encoder, torch: Any):
        import timm
        from safetensors.torch import load_file

        self.name = f"timm {timm.__version__}"
        family = find_family(hub)
        self.own, self.config = family.rule(encoder.config), encoder.config
        size: dict[str, Any] = {} if encoder.config.rotary else {"dynamic_img_size": True}
        model: Any = timm.create_model(f"local-dir:{folder}", num_classes=0, **size)
        self.stored: dict[str, Any] = {}
        for file in weight_files(folder):
            self.stored |= load_file(file)
        names = list(model.state_dict())
        prefix = max(family.prefixes, key=lambda p: sum(p + name in self.stored for name in names))
        own = {name: self.stored[prefix + name] for name in names if prefix + name in self.stored}
        model.load_state_dict(own)  # An error on a name that is missing.
        self.model: Any = model.eval().double()
        self.torch = torch

    def hidden_states(self, pixels: Any) -> list[Float[np.ndarray, "t d"]]:
        with self.torch.no_grad():
            found = self.model.forward_intermediates(
                pixels, output_fmt="NLC", intermediates_only=True
            )
        return [tokens[0].numpy() for tokens in found]

    def embedding(self, pixels: Any, rule: EmbeddingRule) -> Any:
        plain = dataclasses.replace(rule, normalized=False)
        if plain == self.own:
            z = self.model(pixels)
        elif plain.pool == "projector":
            z = self._projected(self.model(pixels))
        else:
            raise NoReference(f"timm has the embedding {self.own}, not {rule}")
        return z / z.norm(dim=-1, keepdim=True) if rule.normalized else z

    def _projected(self, z: Any) -> Any:
        """Through the modules of the stored projector one by one, as they are in evaluation."""
        from transformers.activations import ACT2FN

        functions = self.torch.nn.functional
        assert isinstance(self.config, TimmConfig)
        assert self.config.projector is not None
        activation: Any = ACT2FN[self.config.projector.activation]
        given = lambda name: self.stored[name].double() if name in self.stored else None
        activated = (False, *self.config.projector.activated)
        for layer, active in zip(self.config.projector_layers, activated, strict=True):
            z = activation(z) if active else z
            z = functions.linear(z, given(f"{layer.name}.weight"), given(f"{layer.name}.bias"))
            if layer.norm is not None:
                tensors = ("running_mean", "running_var", "weight", "bias")
                z = functions.batch_norm(z, *(given(f"{layer.norm}.{name}") for name in tensors))
        return z
