"""Memory of one score beyond the parameters, as XLA plans it, by encoder and by estimator."""

import jax
import jax.numpy as jnp
from flax import nnx

from jepa_jax import Exact, Hutchinson, Lanczos, Sketch, SketchCalibration, XTrace, jacobian
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.families import FAMILIES
from jepa_jax.encoders.family import full_config
from jepa_jax.encoders.parameters import abstract_model
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.scoring.batch_sizes import make_plan

EXACT = (
    ("facebook/dinov2-small", 224),
    ("facebook/dinov2-small", 112),
    ("facebook/dinov2-with-registers-small", 224),
    ("facebook/dinov2-base", 224),
    ("openai/clip-vit-base-patch32", 224),
    ("openai/clip-vit-base-patch16", 224),
    ("facebook/dinov2-large", 224),
    ("facebook/ijepa_vith14_1k", 224),
)
# K = 1280, D = 940800: rows of 4.8 GB.
LARGE = ("facebook/ijepa_vith14_1k", 560)
SKETCH = 32


def sketch(k: int, images: int = 128, cotangents: int = SKETCH) -> Sketch:
    """A sketch of so many cotangents by its spectrum alone, as shapes without numbers."""
    array = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    size = cotangents + 1
    calibration = SketchCalibration(
        cotangents=array(cotangents, k),
        centres={"spectrum": array(size)},
        scales={"spectrum": array(size)},
        coefficients=array(size),
        offset=array(),
        projection=array(size, images),
        penalty=array(),
        sigma=array(),
        novelty_scales={"spectrum": array(size)},
        novelty_projection=array(size, images),
        novelty_penalty=array(),
        novelty_limit=array(),
        blocks=("spectrum",),
        rank=k - 1,
    )
    return Sketch(calibration)


def configured(name: str) -> tuple[ViTConfig, EmbeddingRule]:
    """Shape and embedding of a published encoder."""
    family = next(f for f in FAMILIES if name in f.published)
    config = family.config(full_config(family, family.published[name]))
    return config, family.rule(config)


def memory_of(name: str, size: int, estimator=None) -> dict:
    """Peak of the temporary buffers of one score, in megabytes and over the rows."""
    return memory_of_shape(*configured(name), size, estimator)


def memory_of_shape(
    config: ViTConfig, rule: EmbeddingRule, size: int, estimator=None, width: int | None = None
) -> dict:
    """Likewise, of any shape, and of inputs `size` x `width`."""
    graph, state = nnx.split(abstract_model(config))
    width = width or size
    k, d = rule.size(config), size * width * config.channels
    rows, columns = config.grid(size, width)
    plan = make_plan(k, d, (rows * columns + config.prefix) * config.width)

    def score(state, image, fitted):
        model = nnx.merge(graph, state)
        operator = jacobian(
            lambda u: embeddings.embed(model, rule, model.tokens_at(u), (rows, columns)),
            model.coordinates(image),
            chunk=plan.chunk,
            null_basis=lambda z: embeddings.null_basis(model, rule, z),
        )
        method = fitted or estimator or Exact()
        return method(operator, jax.random.key(0)).log_volume

    image = jax.ShapeDtypeStruct((size, width, config.channels), jnp.float32)
    fitted = sketch(k) if estimator is Sketch else None
    analysis = jax.jit(score).lower(state, image, fitted).compile().memory_analysis()
    return {
        "pixels": size,
        "K": k,
        "chunk": plan.chunk,
        "rows_megabytes": round(4e-6 * k * d, 1),
        "peak_megabytes": round(1e-6 * analysis.temp_size_in_bytes, 1),
        "peak_over_rows": round(analysis.temp_size_in_bytes / (4 * k * d), 3),
    }


def run(quick: bool) -> dict:
    """Peaks of the exact score of all encoders, or the first, and of other estimators."""
    exact, others = {}, {}
    for name, size in EXACT[:1] if quick else EXACT:
        exact[f"{name}, {size} px"] = row = memory_of(name, size)
        print(f"{name:40} {size:4} px: {row['peak_over_rows']:.2f} times the rows", flush=True)
    if quick:
        return {"exact": exact}
    estimators = {
        "lanczos, 20 steps, 4 probes": Lanczos(),
        "hutchinson, degree 50, 4 probes": Hutchinson(),
        "xtrace": XTrace(),
        f"sketch, {SKETCH} cotangents": Sketch,
    }
    print(f"{LARGE[0]}, {LARGE[1]} px:")
    for label, estimator in estimators.items():
        others[label] = row = memory_of(*LARGE, estimator)
        of = f"{row['peak_megabytes']:8.0f} MB, rows of {row['rows_megabytes']:.0f} MB"
        print(f"  {label:32} {of}", flush=True)
    return {"exact": exact, f"{LARGE[0]}, {LARGE[1]} px": others}
