"""The shape of a vision transformer, for every family."""

import dataclasses

from jepa_jax.encoders.activations import ACTIVATIONS
from jepa_jax.encoders.projector import ProjectorConfig

Grid = tuple[int, int]  # Rows and columns of patches.


@dataclasses.dataclass(frozen=True)
class ViTConfig:
    """The shape of a vision transformer; every family's configuration becomes one of these.

    Lengths are in pixels (`image_size`, `patch_size`) or channels (`width`, `mlp_width`,
    `projection`). `qkv_bias`: of queries, keys and values together, or each. `image_size` is the
    resolution of the stored position embeddings; other resolutions that `patch_size` divides are
    served by resizing them, antialiased or not as the family does it. With `rotary`, the base of
    the rotations' frequencies, patches have no position embeddings but queries and keys rotated by
    their place (`jepa_jax.encoders.rotary`), at every resolution; with `rotary_in_time`,
    by frame, row and column as V-JEPA 2 does it, at `image_size` alone; with `rotary_grid` besides,
    as V-JEPA 2.1 does it, rows and columns spread over a grid of that side, at every resolution of
    2 x 2 patches or more. The `frames` of a clip
    become one array: tubelets one below the other, the channels of their frames side by side. With
    `norm_pooled`, the final norm is of the pooled token: of the mean of the patch tokens, not of
    each. With `attention_pool`, a head pools the normed tokens by attention; with `plain_pool`
    besides, its query is used as it is learned, and no MLP follows. `rms_norm`: all norms divide by
    the root mean square, without a mean or a bias. `patch_norm`: projected patches are normed
    before they get positions. `sincos_positions`: positions are computed, for any grid.
    `projector`: what was trained behind the pooled token, where an embedding goes through it.
    """

    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    mlp_width: int
    channels: int = 3
    activation: str = "gelu"
    gated_mlp: bool = False
    layer_norm_eps: float = 1e-6
    cls_token: bool = True
    registers: int = 0
    layer_scale: bool = False
    qkv_bias: bool | tuple[bool, bool, bool] = True
    out_bias: bool = True
    mlp_bias: bool = True
    patch_bias: bool = True
    patch_norm: bool = False
    input_norm: bool = False
    projection: int | None = None
    antialias_positions: bool = False
    sincos_positions: bool = False
    rotary: float | None = None
    rotary_in_time: bool = False
    rotary_grid: int | None = None
    frames: int | None = None
    norm_pooled: bool = False
    attention_pool: bool = False
    plain_pool: bool = False
    rms_norm: bool = False
    projector: ProjectorConfig | None = None

    def __post_init__(self):
        for name in (
            "image_size",
            "patch_size",
            "width",
            "depth",
            "heads",
            "mlp_width",
            "channels",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(
                f"`width` must be a multiple of `heads`, got {self.width}, {self.heads}"
            )
        if self.rotary is not None and self.width // self.heads % 4 and not self.rotary_in_time:
            raise ValueError(
                "with `rotary`, the `width` of a head must be a multiple of 4, got "
                f"{self.width} for {self.heads} heads"
            )
        if self.rotary_grid is not None and not (self.rotary_in_time and self.rotary_grid > 1):
            raise ValueError(
                "`rotary_grid` must be at least 2, with `rotary_in_time`, got "
                f"{self.rotary_grid} (of patches of {self.patch_size} pixels)"
            )
        if self.image_size % self.patch_size:
            raise ValueError(
                f"`image_size` must be a multiple of `patch_size`, got {self.image_size}, "
                f"{self.patch_size}"
            )
        if self.sincos_positions and self.width % 4:
            raise ValueError(
                f"with `sincos_positions`, `width` must be a multiple of 4, got {self.width}"
            )
        if self.rms_norm and (self.projection or self.projector):
            raise ValueError(
                "`rms_norm` with a `projection` or a `projector` has no null directions in closed "
                "form"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {sorted(ACTIVATIONS)}, got {self.activation!r}"
            )

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches: the CLS token and the registers."""
        return int(self.cls_token) + self.registers

    @property
    def any_qkv_bias(self) -> bool:
        """Whether queries, keys or values have a bias."""
        return self.qkv_bias if isinstance(self.qkv_bias, bool) else any(self.qkv_bias)

    @property
    def recompute(self) -> bool:
        """Whether blocks keep only their inputs for derivatives, and compute the rest again.

        So in deep models, where what all blocks keep is a large part of a Jacobian's rows.
        """
        return self.depth > 16

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches of a `height` x `width` image."""
        if height % self.patch_size or width % self.patch_size or not height or not width:
            raise ValueError(
                f"the image's height and width must be multiples of the patch size "
                f"{self.patch_size}, got {height} x {width}"
            )
        side = self.image_size
        if self.rotary_grid is not None:
            clip = self.frames is not None
            if min(height, width) < 2 * self.patch_size or (clip and height % width):
                raise ValueError(
                    f"the positions of this encoder are those of {'squares' if clip else 'images'} "
                    f"of 2 x 2 patches or more{' (tubelets, one below the other)' * clip}, got "
                    f"{height} x {width} pixels of patches of {self.patch_size}"
                )
        elif self.rotary_in_time and (width != side or height % side):
            raise ValueError(
                f"the positions of this encoder are those of {side} x {side} pixels (and clips of "
                f"that, one tubelet below the other), got {height} x {width}"
            )
        return height // self.patch_size, width // self.patch_size
