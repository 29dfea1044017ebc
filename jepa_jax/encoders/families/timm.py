"""Vision transformers in timm's layout: config.json has `architecture` and `pretrained_cfg`.

DINO v1, DINOv2, DINOv3, EUPE, I-JEPA, MAE and supervised ones, and what libraries built on timm
train, stable-pretraining and LeJEPA among them: a backbone below `backbone.`, and a projector
beside it. The embedding is the checkpoint's pooling (`global_pool`): the CLS token, or the mean of
the patch tokens; or what the projector makes of that.
"""

import dataclasses
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from jepa_jax.checked_json import Fields, checked
from jepa_jax.encoders import stored_projector, stored_tensors
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.family import Facts, Family
from jepa_jax.encoders.hub_config import Activation, Channels, CountOrNone, Ratio, Side, Width
from jepa_jax.encoders.projector import ProjectorConfig
from jepa_jax.encoders.stored_projector import Shapes, StoredLayer
from jepa_jax.encoders.stored_tensors import Stored
from jepa_jax.encoders.torchvision_processor import TorchvisionProcessor
from jepa_jax.encoders.vit_config import ViTConfig

_NAME = re.compile(
    r"vit_(?P<size>tiny|small|base|large|huge|giant|7b)(?P<plus>_plus)?_patch(?P<patch>\d+)"
    r"(_reg(?P<registers>\d+))?_(?P<kind>dinov2|dinov3(?P<biased>_qkvb)?|(gap_)?(?P<pixels>\d+))"
)
_FORMS = (
    "vit_SIZE_patchN_PIXELS, vit_SIZE_patchN_gap_PIXELS, vit_SIZE_patchN_dinov2, "
    "vit_SIZE_patchN_reg4_dinov2, vit_SIZE_patchN_dinov3, vit_SIZE_patchN_dinov3_qkvb"
)
# Width, depth, heads, MLP ratio.
_SIZES: dict[str, tuple[int, int, int, float]] = {
    "tiny": (192, 12, 3, 4),
    "small": (384, 12, 6, 4),
    "base": (768, 12, 12, 4),
    "large": (1024, 24, 16, 4),
    "huge": (1280, 32, 16, 4),
    "giant": (1408, 40, 16, 48 / 11),
    "7b": (4096, 40, 32, 2),
}
_PREFIXES = (
    "",
    "backbone.",
    "model.",
    "encoder.",
    "model.backbone.",
    "backbone.teacher.",
    "model.backbone.teacher.",
)
# stable-pretraining's, of a teacher and alone, and that of LeJEPA's own example.
_PROJECTORS = ("projector.teacher.", "projector.", "proj.")
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}


def _known(name: Any) -> Any:
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    # Rotations and gates are those of one kind alone.
    if match is None or (
        (match["plus"] or match["size"] == "7b") and "dinov3" not in match["kind"]
    ):
        raise ValueError
    return name


class _Arguments(Fields):
    """What the model was made with, where that is not its architecture's own."""

    in_chans: Channels | None = None
    img_size: Side | None = None
    patch_size: Side | None = None
    embed_dim: Width | None = None
    depth: Annotated[int, Field(ge=1, le=1000)] | None = None
    num_heads: Width | None = None
    mlp_ratio: Ratio | int | None = None
    qkv_bias: bool | None = None
    init_values: float | None = None
    class_token: bool | None = None
    no_embed_class: bool | None = None
    reg_tokens: CountOrNone | None = None
    num_reg_tokens: CountOrNone | None = None
    global_pool: str | None = None
    fc_norm: bool | None = None
    use_fc_norm: bool | None = None
    # Of training, of the classifier, or of how PyTorch computes.
    num_classes: int | None = None
    dynamic_img_size: bool | None = None
    drop_rate: float | None = None
    pos_drop_rate: float | None = None
    patch_drop_rate: float | None = None
    proj_drop_rate: float | None = None
    attn_drop_rate: float | None = None
    drop_path_rate: float | None = None
    weight_init: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, stated: Any) -> Any:
        unknown = set(stated) - set(cls.model_fields) if isinstance(stated, dict) else set()
        if unknown := sorted(name for name in unknown if stated[name] is not None):
            raise ValueError(f"has {', '.join(unknown)}, which is not known here")
        return stated


# JSON has lists alone.
_AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


class _Pretrained(Fields):
    input_size: Annotated[tuple[int, int, int], _AsTuple] = (3, 224, 224)
    crop_pct: Annotated[float, Field(gt=0, le=2)] = 0.875
    crop_mode: Literal["center", "squash"] = "center"
    interpolation: Literal["nearest", "lanczos", "bilinear", "bicubic"] = "bicubic"
    mean: Annotated[tuple[float, float, float], _AsTuple] = (0.485, 0.456, 0.406)
    std: Annotated[tuple[float, float, float], _AsTuple] = (0.229, 0.224, 0.225)


class _Hub(Fields):
    architecture: Annotated[
        str, BeforeValidator(_known), Field(description=f"one of timm's {_FORMS}")
    ]
    global_pool: Literal["token", "avg"] | None = None
    model_args: _Arguments = _Arguments()
    pretrained_cfg: _Pretrained = _Pretrained()
    # Of ours: a checkpoint says nothing of the modules that have no tensors.
    projector_activation: Activation = "relu"


@dataclasses.dataclass(frozen=True)
class TimmConfig(ViTConfig):
    """Beside the shape, how it is stored: by the class of timm's that DINOv3 has (`eva`), whether
    position embeddings have a row for the CLS token, and the projector's layers, beside a backbone
    with the prefix `backbone`."""

    eva: bool = False
    cls_position: bool = True
    pool: Literal["token", "avg"] = "token"
    backbone: str = ""
    projector_layers: tuple[StoredLayer, ...] = ()


def _first(*values: Any) -> Any:
    """The first that is stated."""
    return next((value for value in values if value is not None), None)


def config(hub: dict) -> ViTConfig:
    """config.json to our configuration; the defaults are timm's, by the architecture's name."""
    fields = checked(_Hub, hub)
    name, own = _NAME.fullmatch(fields.architecture), fields.model_args
    assert name is not None
    eva, dinov2, gap = "dinov3" in name["kind"], name["kind"] == "dinov2", "gap" in name["kind"]
    width, depth, heads, ratio = _SIZES[name["size"]]
    gated = dinov2 and name["size"] == "giant"
    if gated:
        width, heads, ratio = 1536, 24, 2.66667 * 2
    if eva and name["size"] == "huge":
        heads = 20
    width = own.embed_dim or width
    registers = _first(
        own.reg_tokens, own.num_reg_tokens, 4 if eva else int(name["registers"] or 0)
    )
    pool = _first(fields.global_pool, own.global_pool, "avg" if eva or gap else "token")
    if pool not in ("token", "avg"):
        raise ValueError(f"`model_args.global_pool` must be token or avg, got {pool!r}")
    norm_pooled = _first(own.fc_norm, own.use_fc_norm, False if eva or gap else pool == "avg")
    bias = _first(own.qkv_bias, bool(name["biased"]) or not eva)
    hidden = int(width * (own.mlp_ratio or ratio))
    return TimmConfig(
        image_size=own.img_size or fields.pretrained_cfg.input_size[1],
        patch_size=own.patch_size or int(name["patch"]),
        width=width,
        depth=own.depth or depth,
        heads=own.num_heads or heads,
        mlp_width=hidden // 2 if gated else hidden,
        gated_mlp=gated or bool(name["plus"]) or name["size"] == "7b",
        activation="silu" if gated or name["plus"] or name["size"] == "7b" else "gelu",
        layer_norm_eps=1e-5 if eva else 1e-6,
        cls_token=_first(own.class_token, not gap),
        registers=registers,
        layer_scale=eva or dinov2 or own.init_values is not None,
        qkv_bias=(bias, bias and not eva, bias),
        antialias_positions=True,
        rotary=100.0 if eva else None,
        norm_pooled=norm_pooled,
        eva=eva,
        cls_position=not _first(own.no_embed_class, dinov2 and registers > 0),
        pool=pool,
    )


def parameters(c: ViTConfig) -> dict[str, Stored]:
    """Our parameter names to the checkpoint's."""
    assert isinstance(c, TimmConfig)
    tree = {
        "patch": stored_tensors.patches("patch_embed.proj", c.patch_size, c.channels, c.width),
        "blocks": {str(i): _block(f"blocks.{i}", c) for i in range(c.depth)},
        "norm": stored_tensors.norm("fc_norm" if c.norm_pooled else "norm", c.width),
    }
    if c.cls_token:
        tree["cls"] = stored_tensors.batched("cls_token", c.width)
    if c.registers:
        tree["registers"] = stored_tensors.batched("reg_token", c.registers, c.width)
    if c.rotary is None:
        patches = (c.image_size // c.patch_size) ** 2
        rows = patches + (int(c.cls_token) if c.cls_position else 0)
        lacking = patches + int(c.cls_token) - rows
        tree["positions"] = stored_tensors.batched("pos_embed", rows, c.width, zero_rows=lacking)
    flat = {ours: _under(c.backbone, s) for ours, s in stored_tensors.flatten(tree).items()}
    if c.projector_layers:
        tree = {"projector": stored_projector.parameters(c.projector_layers)}
        flat |= stored_tensors.flatten(tree)
    return flat


def projector(hub: dict, c: ViTConfig, shapes: Shapes) -> ViTConfig:
    """With the projector that is stored beside the backbone; as it was where there is none."""
    assert isinstance(c, TimmConfig)
    known = "patch_embed.proj.weight"
    backbone = next((p for p in _PREFIXES if p + known in shapes), "")
    beside = "model." if backbone.startswith("model.backbone.") else ""
    stems = [beside + stem for stem in _PROJECTORS]
    stem = next((s for s in stems if any(name.startswith(s) for name in shapes)), None)
    if stem is None:
        return c
    layers, activated = stored_projector.read_layers(shapes, stem, c.width, head=f"{backbone}head")
    shape = ProjectorConfig(
        widths=tuple(layer.outputs for layer in layers),
        biases=stored_projector.biases(layers),
        activated=activated,
        activation=checked(_Hub, hub).projector_activation,
        pool="cls" if c.pool == "token" else "mean",
    )
    return dataclasses.replace(c, backbone=backbone, projector_layers=layers, projector=shape)


def _under(prefix: str, stored: Stored) -> Stored:
    shapes = {prefix + name: shape for name, shape in stored.shapes.items()}
    return dataclasses.replace(stored, shapes=shapes)


def _block(name: str, c: TimmConfig) -> dict:
    w, hidden = c.width, c.mlp_width
    scale1, scale2 = ("gamma_1", "gamma_2") if c.eva else ("ls1.gamma", "ls2.gamma")
    if c.eva and c.gated_mlp:
        fc1 = stored_tensors.joined([f"{name}.mlp.fc1_g", f"{name}.mlp.fc1_x"], w, hidden)
    else:
        fc1 = stored_tensors.linear(f"{name}.mlp.fc1", w, hidden * (2 if c.gated_mlp else 1))
    assert isinstance(c.qkv_bias, tuple)
    qkv = stored_tensors.linear(f"{name}.attn.qkv", w, 3 * w, all(c.qkv_bias))
    if c.eva and any(c.qkv_bias):
        qkv |= stored_tensors.bias_parts([f"{name}.attn.q_bias", None, f"{name}.attn.v_bias"], w)
    block = {
        "norm1": stored_tensors.norm(f"{name}.norm1", w),
        "attention": {"qkv": qkv, "out": stored_tensors.linear(f"{name}.attn.proj", w, w)},
        "norm2": stored_tensors.norm(f"{name}.norm2", w),
        "mlp": {"fc1": fc1, "fc2": stored_tensors.linear(f"{name}.mlp.fc2", hidden, w)},
    }
    if c.layer_scale:
        block["scale1"] = Stored({f"{name}.{scale1}": (w,)})
        block["scale2"] = Stored({f"{name}.{scale2}": (w,)})
    return block


def processor(hub: dict) -> TorchvisionProcessor:
    """Preprocessing as timm's evaluation has it: bytes resized by Pillow, and a central crop."""
    images = checked(_Hub, hub).pretrained_cfg
    side = images.input_size[1]
    square = {"height": side, "width": side}
    crop = images.crop_mode == "center"
    return TorchvisionProcessor.of(
        {
            "size": {"shortest_edge": int(side / images.crop_pct)} if crop else square,
            "default_to_square": False,
            "do_center_crop": crop,
            "crop_size": square,
            "resample": _FILTERS[images.interpolation],
            "image_mean": images.mean,
            "image_std": images.std,
            "as_bytes": True,
        }
    )


def _published(architecture: str, pixels: int, pool: str) -> dict:
    images = {"input_size": [3, pixels, pixels]}
    return {"architecture": architecture, "global_pool": pool, "pretrained_cfg": images}


FAMILY = Family(
    name="timm",
    model_types=(),
    image_processor="",
    config=config,
    parameters=parameters,
    rule=lambda c: EmbeddingRule("cls" if getattr(c, "pool", "token") == "token" else "mean"),
    # Beside a backbone: what trains it, and what a training measures of it.
    ignored=(
        r"(.*backbone\.)?(mask_token|head\..*)",
        r"(model\.)?(projector|proj|predictor|sigreg|visreg|probe)\..*",
        r"(model\.)?backbone\.student\..*",
        r"(model\.)?callbacks_(modules|metrics)\..*",
    ),
    prefixes=_PREFIXES,
    published={
        "timm/vit_small_patch16_224.dino": _published("vit_small_patch16_224", 224, "token"),
        "timm/vit_base_patch16_224.dino": _published("vit_base_patch16_224", 224, "token"),
        "timm/vit_base_patch16_224.mae": _published("vit_base_patch16_224", 224, "token"),
        "timm/vit_small_patch16_dinov3.lvd1689m": _published(
            "vit_small_patch16_dinov3", 256, "avg"
        ),
        "timm/vit_base_patch16_dinov3_qkvb.eupe_lvd1689m": _published(
            "vit_base_patch16_dinov3_qkvb", 256, "avg"
        ),
    },
    facts={
        "": Facts("justified", "Apache-2.0"),
        "timm/vit_base_patch16_224.mae": Facts("control", "CC-BY-NC-4.0"),
        "timm/vit_small_patch16_dinov3": Facts("justified", "DINOv3 License"),
        "timm/vit_base_patch16_dinov3_qkvb.eupe": Facts("control", "FAIR, non-commercial"),
    },
    processor=processor,
    projector=projector,
)
