"""Memory of one exact score beyond the parameters, as XLA plans it, by encoder.

    python benchmarks/memory.py [--out FILE.json]

Compiles the score of one image by the default plan, without weights, and prints the peak of XLA's
temporary buffers over the K x D float32 rows. No result is committed yet; before the flag of
jepa_jax/xla.py, on a CPU: 1.15 to 1.51 up to ViT-B, 1.7 for ViT-L and 1.9 for ViT-H, whose many
blocks leave more of the forward pass for the VJPs.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

from jepa_jax import Exact, jacobian
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.encoder import FAMILIES, abstract_model
from jepa_jax.scoring.plan import make_plan

CASES = (
    ("facebook/dinov2-small", 224),
    ("facebook/dinov2-small", 112),
    ("facebook/dinov2-with-registers-small", 224),
    ("facebook/dinov2-base", 224),
    ("openai/clip-vit-base-patch32", 224),
    ("openai/clip-vit-base-patch16", 224),
    ("facebook/dinov2-large", 224),
    ("facebook/ijepa_vith14_1k", 224),
)


def memory_of(name: str, size: int) -> dict:
    """Peak of the temporary buffers of one exact score, in megabytes and over the rows."""
    family = next(f for f in FAMILIES if name in f.published)
    config = family.config({"model_type": family.model_types[0]} | family.published[name])
    rule = family.rule(config)
    graph, state = nnx.split(abstract_model(config))
    k, d = rule.size(config), size * size * config.channels
    rows, columns = config.grid(size, size)
    plan = make_plan(k, d, (rows * columns + config.prefix) * config.width)

    def score(state, image):
        model = nnx.merge(graph, state)
        operator = jacobian(
            lambda u: embeddings.embed(model, rule, model.tokens_at(u)),
            model.coordinates(image),
            chunk=plan.chunk,
            null_basis=lambda z: embeddings.null_basis(model, rule, z),
        )
        return Exact()(operator).log_volume

    image = jax.ShapeDtypeStruct((size, size, config.channels), jnp.float32)
    analysis = jax.jit(score).lower(state, image).compile().memory_analysis()
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
    parser = argparse.ArgumentParser(description="Memory of an exact score.")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = {}
    for name, size in CASES:
        found[f"{name}, {size} px"] = row = memory_of(name, size)
        print(f"{name:40} {size:4} px: {row['peak_over_rows']:.2f} times the rows", flush=True)
    result = {"platform": jax.default_backend(), "jax": jax.__version__, "cases": found}
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
