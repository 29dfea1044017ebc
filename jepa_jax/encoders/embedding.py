"""Embedding rules: which vector of the transformer is the embedding, and its null directions.

The rule defines the Jacobian, so it is part of the encoder, stated and never silent.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jepa_jax import linalg
from jepa_jax.encoders.layers import LayerNorm, RMSNorm
from jepa_jax.encoders.vision_transformer import ViT
from jepa_jax.encoders.vit_config import Grid, ViTConfig

_PATTERN = re.compile(
    r"(?P<pool>cls|mean|pooled|projected|projector)(@(?P<layer>[1-9][0-9]{0,5}))?(?P<unit>\+normalized)?"
)
_FORMS = (
    "'cls', 'mean', 'projected', 'projector', 'cls@N', 'mean@N', 'pooled', each with an optional "
    "'+normalized'"
)
_Token = Literal["cls", "mean", "pooled"]
_Pool = Literal["cls", "mean", "pooled", "projector"]
_POOLS: dict[str, _Pool] = {
    "cls": "cls",
    "mean": "mean",
    "pooled": "pooled",
    "projected": "cls",
    "projector": "projector",
}


@dataclasses.dataclass(frozen=True)
class EmbeddingRule:
    """How the tokens of a vision transformer become one vector of K coordinates.

    `pool`: "cls", the CLS token; "mean", the mean of the patch tokens (not of CLS or registers).
    Both are taken after the final LayerNorm (a mean before it, where the encoder's norm is of the
    pooled token: `ViTConfig.norm_pooled`), or, with `layer=N`, as they leave block N (1-based),
    before any norm. "pooled" is what the checkpoint's attention-pooling head makes of all tokens
    (SigLIP). "projector" is what the projector that was trained behind the encoder makes of the
    token that the checkpoint pools (LeJEPA). `projected` multiplies by the checkpoint's projection
    (CLIP); `normalized` divides by the Euclidean norm.

    Written as text: "cls", "mean", "projected", "cls@8", "projected+normalized". `str` and `parse`
    are each other's inverse.

    Raises `ValueError`, naming the forms, on a rule that there is no text for.

    >>> EmbeddingRule.parse("cls@8+normalized")
    EmbeddingRule(pool='cls', layer=8, projected=False, normalized=True)
    >>> str(EmbeddingRule("mean"))
    'mean'
    """

    pool: _Pool
    layer: int | None = None
    projected: bool = False
    normalized: bool = False

    def __post_init__(self):
        layer = self.layer
        possible = (
            self.pool in ("cls", "mean", "pooled", "projector")
            and not (self.pool in ("pooled", "projector") and layer is not None)
            and (layer is None or (type(layer) is int and 1 <= layer < 1_000_000))
            and not (self.projected and (self.pool != "cls" or layer is not None))
            and isinstance(self.projected, bool)
            and isinstance(self.normalized, bool)
        )
        if not possible:
            raise ValueError(f"`embedding` must be one of {_FORMS}, got {self!r}")

    @classmethod
    def parse(cls, text: str) -> "EmbeddingRule":
        """The rule that `text` names; `ValueError` lists the forms it may have."""
        match = _PATTERN.fullmatch(text)
        if match is None or (match["pool"] not in ("cls", "mean") and match["layer"]):
            raise ValueError(f"`embedding` must be one of {_FORMS}, got {text!r}")
        pool = _POOLS[match["pool"]]
        layer = int(match["layer"]) if match["layer"] else None
        return cls(pool, layer, match["pool"] == "projected", match["unit"] is not None)

    def __str__(self) -> str:
        name = "projected" if self.projected else self.pool
        name += f"@{self.layer}" if self.layer is not None else ""
        return name + ("+normalized" if self.normalized else "")

    def check(self, config: ViTConfig) -> None:
        """Raises `ValueError` where an encoder of this shape has no such embedding."""
        if self.pool == "cls" and not config.cls_token:
            raise ValueError(f"`embedding` {str(self)!r} needs a CLS token; this encoder has none")
        if self.pool == "pooled" and not config.attention_pool:
            raise ValueError(
                f"`embedding` {str(self)!r} needs an attention-pooling head; this encoder has none"
            )
        if self.projected and config.projection is None:
            raise ValueError(
                f"`embedding` {str(self)!r} needs a projection, as CLIP's; this encoder has none "
                "(what LeJEPA trains behind one is 'projector')"
            )
        if self.pool == "projector" and config.projector is None:
            raise ValueError(
                f"`embedding` {str(self)!r} needs a projector, as LeJEPA's; this encoder has none"
            )
        if self.layer is not None and not 1 <= self.layer <= config.depth:
            raise ValueError(
                f"`embedding` {str(self)!r}: the layer must be between 1 and {config.depth}"
            )

    def size(self, config: ViTConfig) -> int:
        """K, the number of coordinates."""
        if self.pool == "projector" and config.projector is not None:
            return config.projector.widths[-1]
        return config.projection if self.projected and config.projection else config.width

    def token(self, config: ViTConfig) -> _Token:
        """How the tokens become one, whatever comes after."""
        if self.pool != "projector":
            return self.pool
        return "cls" if config.projector is None else config.projector.pool


def embed(
    vit: ViT, rule: EmbeddingRule, tokens: Float[Array, "t d"], grid: Grid | None = None
) -> Float[Array, " k"]:
    """The embedding by `rule` of the image whose tokens enter the first block.

    `grid`: the rows and columns of patches, needed where positions are rotary.
    """
    return finish(vit, rule, embed_token(vit, rule, tokens, grid))


def embed_token(
    vit: ViT, rule: EmbeddingRule, tokens: Float[Array, "t d"], grid: Grid | None = None
) -> Float[Array, " d"]:
    """`embed`, before it is projected or normalised."""
    cls_only = rule.token(vit.config) == "cls"
    return pool_token(
        vit, rule, vit.features(tokens, cls_only=cls_only, depth=rule.layer, grid=grid)
    )


def parse_rules(text: str) -> tuple[EmbeddingRule, ...]:
    """'cls@4,cls' as rules, in order; `ValueError` as `EmbeddingRule.parse`, and on one twice."""
    rules = tuple(EmbeddingRule.parse(part.strip()) for part in text.split(","))
    if len(set(rules)) < len(rules):
        raise ValueError(f"`embedding` must name each rule once, got {text!r}")
    return rules


def embed_each(
    vit: ViT,
    rules: Sequence[EmbeddingRule],
    tokens: Float[Array, "t d"],
    grid: Grid | None = None,
) -> list[Float[Array, " k"]]:
    """`embed` by each of several rules, every block evaluated once for all.

    But for the last block of a CLS rule: it is evaluated for the CLS token alone besides, so that
    VJPs of that rule cost what they cost by themselves.
    """
    depths = [rule.layer or vit.config.depth for rule in rules]
    of_cls = [rule.token(vit.config) == "cls" for rule in rules]
    blocks, leaving = list(vit.blocks), {}
    last = max((d for d, cls in zip(depths, of_cls, strict=True) if not cls), default=0)
    last = max(last, max(depths) - 1)  # As far as all tokens are needed.
    entering = tokens
    for depth, block in enumerate(blocks[: max(depths)], start=1):
        if (depth, True) in zip(depths, of_cls, strict=True):
            leaving[depth, True] = block(entering, 1, grid)
        if depth <= last:
            entering = leaving[depth, False] = block(entering, grid=grid)
    each = zip(rules, depths, of_cls, strict=True)
    return [pool(vit, rule, leaving[depth, cls]) for rule, depth, cls in each]


def pool(vit: ViT, rule: EmbeddingRule, leaving: Float[Array, "t d"]) -> Float[Array, " k"]:
    """The embedding from the tokens leaving the last block: all, or the CLS token alone."""
    return finish(vit, rule, pool_token(vit, rule, leaving))


def pool_token(vit: ViT, rule: EmbeddingRule, leaving: Float[Array, "t d"]) -> Float[Array, " d"]:
    """`pool`, before it is projected or normalised."""
    normed, token = rule.layer is None, rule.token(vit.config)
    tokens = vit.norm(leaving) if normed and not vit.config.norm_pooled else leaving
    if token == "pooled":
        assert vit.pool is not None
        return vit.pool(tokens)
    z = tokens[0] if token == "cls" else tokens[vit.config.prefix :].mean(0)
    return vit.norm(z) if normed and vit.config.norm_pooled else z


def finish(vit: ViT, rule: EmbeddingRule, z: Float[Array, " d"]) -> Float[Array, " k"]:
    """The embedding from the pooled token: projected and normalised, where the rule says so."""
    if rule.projected:
        assert vit.projection is not None
        z = vit.projection(z)
    if rule.pool == "projector":
        assert vit.projector is not None
        z = vit.projector(z)
    return z / jnp.linalg.norm(z) if rule.normalized else z


def null_basis(
    vit: ViT,
    rule: EmbeddingRule,
    embedding: Float[Array, " k"],
    token: Float[Array, " d"] | None = None,
) -> Float[Array, "k r"]:
    """Orthonormal left-null directions (K, R) of the embedding's Jacobian, in closed form.

    The final LayerNorm z = gamma n + beta, with sum(n) = 0 and |n|^2 = K (up to its epsilon), has
    the left-null vectors 1/gamma and n/gamma; a mean of such tokens keeps 1/gamma alone. (An
    RMSNorm z = gamma n has n/gamma, and a mean of such tokens none.) A
    projection to K coordinates leaves K - (width - 2), none where K is smaller: what is orthogonal
    to the projections of all that these two leave. A normalised embedding y = z / |z| has y
    itself, and of the null directions of z those orthogonal to y. An inner layer before any norm
    has none, nor has a head's output. A projector to K coordinates leaves K - L, L the smaller of
    its narrowest inner layer and what is live of the token that it is given: what is orthogonal to
    all that the Jacobian of the rest makes of those L. That depends on where the projector is
    evaluated, on `token` (`embed_token`), which an embedding does not tell.

    In float32 products, whatever precision is set.

    Raises `ValueError` where `token` is needed and not given.

    Cost: nothing beside one VJP; a projection to K >= width - 1, or a projector to K > L, about
    2 K^3 operations, and L JVPs of the projector.
    """
    with jax.default_matmul_precision("highest"):
        return _null_basis(vit, rule, embedding, token)


def _null_basis(
    vit: ViT, rule: EmbeddingRule, embedding: Float[Array, " k"], token: Array | None = None
) -> Array:
    k = embedding.shape[0]
    if rule.pool == "projector":
        directions = _projector_null(vit, rule, embedding, token)
    elif rule.layer is not None or rule.pool == "pooled":
        directions = jnp.zeros((k, 0), embedding.dtype)
    else:
        directions = _layer_norm_null(vit, rule, embedding)
    if rule.normalized:
        y = embedding[:, None]
        if directions.shape[1] and not _all_beside(vit.config, rule):
            # Within the span of z's null directions, the part orthogonal to y.
            directions = linalg.qr(directions)[0]
            overlap = directions.T @ y
            directions = directions @ linalg.complement(overlap)
        directions = jnp.concatenate([y, directions], axis=1)
    return linalg.qr(directions)[0] if directions.shape[1] else directions


def null_count(config: ViTConfig, rule: EmbeddingRule) -> int:
    """R, the number of directions that `null_basis` gives."""
    k, unit = rule.size(config), int(rule.normalized)
    if rule.layer is not None or rule.pool == "pooled":
        return unit
    if rule.pool == "projector":
        own = max(0, k - _narrowest(config)[1])
        return own + 1 if _all_beside(config, rule) else max(own, unit)
    if rule.projected:
        own = max(0, k - (config.width - 2))
    else:
        own = 1 if rule.pool == "mean" and not config.norm_pooled else 2
        own -= int(config.rms_norm)
    return max(own, unit)


def _layer_norm_null(vit: ViT, rule: EmbeddingRule, embedding: Float[Array, " k"]):
    """Left-null vectors of the embedding before normalisation; columns not yet orthonormal."""
    gamma, mean = vit.norm.scale[...], rule.pool == "mean" and not vit.config.norm_pooled
    if isinstance(vit.norm, RMSNorm):
        own = (embedding / gamma**2)[:, None]  # Up to a length, whatever that of the embedding.
        return own[:, :0] if mean else own
    beta = vit.norm.bias[...]
    if mean:
        return (1 / gamma)[:, None]
    if rule.projected:
        return _projected_null(vit, rule, embedding)
    z = embedding * _norm_before(gamma, beta, embedding) if rule.normalized else embedding
    return jnp.stack([1 / gamma, (z - beta) / gamma**2], axis=1)


def _projected_null(vit: ViT, rule: EmbeddingRule, embedding: Float[Array, " k"]):
    """Left-null vectors of z = P^T m, m = gamma n + beta, before normalisation.

    The columns of m's Jacobian span the complement of S = [1/gamma, n/gamma], so that z's span P^T
    times that.
    """
    assert vit.projection is not None
    assert isinstance(vit.norm, LayerNorm)
    gamma, beta = vit.norm.scale[...], vit.norm.bias[...]
    kernel = vit.projection.kernel[...]
    width, k = kernel.shape
    # One null direction of z is none of z / |z|, unless it is z itself.
    if k <= width - 2 or (k == width - 1 and rule.normalized):
        return jnp.zeros((k, 0), embedding.dtype)
    with jax.default_matmul_precision("highest"):
        if k >= width:  # m from z, up to rounding, as P^T has independent columns.
            q, r = linalg.qr(kernel.T)
            m = linalg.lower_solve_transposed(r.T, (q.T @ embedding)[:, None])[:, 0]
            if rule.normalized:
                m = m * _norm_before(gamma, beta, m)
        else:  # Up to a multiple of p, orthogonal to P's columns, which sum(n) = 0 fixes.
            q, r = linalg.qr(kernel)
            m = q @ linalg.lower_solve(r.T, embedding[:, None])[:, 0]
            p = linalg.complement(kernel)[:, 0]
            m = m - p * ((m - beta) / gamma).sum() / (p / gamma).sum()
        spanning = jnp.stack([1 / gamma, (m - beta) / gamma**2], axis=1)
        return linalg.complement(kernel.T @ linalg.complement(spanning))


def _narrowest(config: ViTConfig) -> tuple[int, int]:
    """The place of a projector, before its end, that the fewest directions pass, and how many."""
    projector = config.projector
    assert projector is not None
    live = config.width - null_count(config, EmbeddingRule(projector.pool))
    widths = (live, *projector.widths[:-1])
    least = min(widths)
    return len(widths) - 1 - widths[::-1].index(least), least


def _all_beside(config: ViTConfig, rule: EmbeddingRule) -> bool:
    """Whether a normalised embedding is orthogonal to all null directions before it was divided.

    So where a projector widens by layers without biases: what they make lies in the span of their
    Jacobian, and the null directions are what is orthogonal to that.
    """
    if rule.pool != "projector" or not rule.normalized or config.projector is None:
        return False
    place, live = _narrowest(config)
    return 0 < place and live < rule.size(config) and config.projector.passes_zero(place)


def _projector_null(
    vit: ViT, rule: EmbeddingRule, embedding: Float[Array, " k"], token: Array | None
) -> Array:
    """Left-null vectors of a projector's output, before normalisation."""
    projector, k, (place, live) = vit.projector, rule.size(vit.config), _narrowest(vit.config)
    if k <= live:
        return jnp.zeros((k, 0), embedding.dtype)
    if token is None:
        raise ValueError(f"the null directions of {str(rule)!r} need `token`, got None")
    assert projector is not None
    _, push = jax.linearize(lambda x: projector(x, place), projector(token, 0, place))
    if place:
        passing = jnp.eye(live, dtype=embedding.dtype)
    else:
        own = _layer_norm_null(vit, EmbeddingRule(projector.config.pool), token)
        passing = linalg.complement(own).T
    return linalg.complement(jax.vmap(push)(passing).T)


def _norm_before(gamma: Array, beta: Array, y: Array) -> Array:
    """|z| from y = z / |z|, where z = gamma n + beta with sum(n) = 0 and |n|^2 = K.

    |n|^2 = K is a quadratic equation in |z|; sum(n) = 0 chooses between two positive roots.
    """
    a, b = y / gamma, beta / gamma
    half, offset = a @ b, b @ b - y.size
    root = jnp.sqrt(jnp.maximum(half**2 - (a @ a) * offset, 0))
    candidates = jnp.stack([half + root, half - root]) / (a @ a)
    misfit = jnp.abs(candidates * a.sum() - b.sum())
    return candidates[jnp.argmin(jnp.where(candidates > 0, misfit, jnp.inf))]
