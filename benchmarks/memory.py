"""Memory of one score beyond the parameters, as XLA plans it, by encoder and by estimator.

    python benchmarks/memory.py [--out FILE.json]

Compiles the score of one image by the default plan, without weights, and prints the peak of XLA's
temporary buffers, over the K x D float32 rows for the exact score, and in megabytes for the others
where those rows do not fit in 4 GiB.

Measured (results/memory-cpu.json): 1.3 to 1.5 times the rows for every encoder, up to ViT-H, whose
blocks are recomputed. Where the rows would be 4.8 GB, the random estimators and the sketch need
2.8: what the VJPs keep of the forward pass.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

from jepa_jax import Exact, Hutchinson, Lanczos, Sketch, SketchCalibration, XTrace, jacobian
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.families import FAMILIES
from jepa_jax.encoders.parameters import abstract_model
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


def sketch(k: int, images: int = 128) -> Sketch:
    """A sketch of SKETCH cotangents by its spectrum alone, as shapes without numbers."""
    array = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    size = SKETCH + 1
    calibration = SketchCalibration(
        cotangents=array(SKETCH, k),
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


def memory_of(name: str, size: int, estimator=None) -> dict:
    """Peak of the temporary buffers of one score, in megabytes and over the rows."""
    family = next(f for f in FAMILIES if name in f.published)
    config = family.config({"model_type": family.model_types[0]} | family.published[name])
    rule = family.rule(config)
    graph, state = nnx.split(abstract_model(config))
    k, d = rule.size(config), size * size * config.channels
    rows, columns = config.grid(size, size)
    plan = make_plan(k, d, (rows * columns + config.prefix) * config.width)

    def score(state, image, fitted):
        model = nnx.merge(graph, state)
        operator = jacobian(
            lambda u: embeddings.embed(model, rule, model.tokens_at(u)),
            model.coordinates(image),
            chunk=plan.chunk,
            null_basis=lambda z: embeddings.null_basis(model, rule, z),
        )
        method = fitted or estimator or Exact()
        return method(operator, jax.random.key(0)).log_volume

    image = jax.ShapeDtypeStruct((size, size, config.channels), jnp.float32)
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


def main() -> None:
    """The command line of this script; see its docstring."""
    parser = argparse.ArgumentParser(description="Memory of a score.")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    exact, others = {}, {}
    for name, size in EXACT:
        exact[f"{name}, {size} px"] = row = memory_of(name, size)
        print(f"{name:40} {size:4} px: {row['peak_over_rows']:.2f} times the rows", flush=True)
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
    result = {
        "platform": jax.default_backend(),
        "jax": jax.__version__,
        "exact": exact,
        f"{LARGE[0]}, {LARGE[1]} px": others,
    }
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
