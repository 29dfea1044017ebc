"""Every implementation of an exact score on one checkpoint, in turn, in processes of their own."""

import dataclasses
import json
import statistics
import time
from pathlib import Path

from benchmarks.exact.implementations import IMPLEMENTATIONS, SKETCH, Run, in_a_process, sketched

SHAPES = {
    # The configuration of facebook/dinov2-small at its usual input size, and a smaller one.
    "ViT-S/14, 224 px": {
        "hidden_size": 384,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
        "image_size": 224,
        "patch_size": 14,
    },
    "6 blocks of width 192, 112 px": {
        "hidden_size": 192,
        "num_hidden_layers": 6,
        "num_attention_heads": 3,
        "image_size": 112,
        "patch_size": 14,
    },
}
CHUNKS = (2, 4, 8, 16)
BATCHES = (1,)


def make_checkpoint(folder: Path, shape: dict) -> None:
    """A randomly initialised DINOv2 written by `transformers`."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    model = Dinov2Model(Dinov2Config(**shape))
    # LayerScale starts at 1 and biases at 0: moved, so that no step is trivial.
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    side = shape["image_size"]
    processor = {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


def matmul_ceiling() -> float:
    """The best rate of a float32 matrix product here, FLOP/s: XLA's and PyTorch's, any size."""
    import jax
    import jax.numpy as jnp
    import torch

    best = 0.0
    for n in (512, 1024, 2048) if jax.default_backend() == "cpu" else (4096, 8192):
        x = jnp.ones((n, n), jnp.float32)
        product = jax.jit(lambda x: jnp.matmul(x, x, precision="highest"))
        product(x).block_until_ready()
        y = torch.ones(n, n, device="cuda" if torch.cuda.is_available() else "cpu")
        for _ in range(12):
            began = time.perf_counter()
            product(x).block_until_ready()
            middle = time.perf_counter()
            float((y @ y)[0, 0])
            end = time.perf_counter()
            best = max(best, 2 * n**3 / (middle - began), 2 * n**3 / (end - middle))
    return best


def sweep(folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds a VJP by chunk and batch, for PyTorch and for us."""
    found: dict[str, dict[str, float]] = {}
    for name, batches in (("torch.func.vjp", (1,)), ("jepa_jax", BATCHES)):
        found[name] = {}
        for batch in batches:
            for chunk in CHUNKS:
                seconds = in_a_process(folder, f"sweep {name}", chunk=chunk, batch=batch)
                found[name][f"chunk {chunk}, batch {batch}"] = round(1e3 * seconds, 2)
                print(f"  {name}, chunk {chunk}, batch {batch}: {1e3 * seconds:.1f} ms a VJP")
    return found


def set_aside(failed: dict[str, str]) -> list[str]:
    """The implementations that have not failed: the definition runs out of memory on a small
    machine, which is a result."""
    return [name for name in IMPLEMENTATIONS if name not in failed]


def compare(folder: Path, repeats: int) -> dict:
    """Every implementation in turn, `repeats` times, after the sweeps."""
    from jepa_jax import Exact, Scorer, load_encoder
    from jepa_jax.encoders.vjp_flops import vjp_flops

    encoder = load_encoder(folder)
    side = encoder.image_size
    plan = Scorer(encoder, Exact()).plan(side, side)
    flops = encoder.embedding_size * vjp_flops(encoder.config, encoder.rule, side, side)
    rows_bytes = encoder.embedding_size * side * side * 3 * 4

    sweeps = sweep(folder)
    by_chunk = {c: sweeps["torch.func.vjp"][f"chunk {c}, batch 1"] for c in CHUNKS}
    best_torch = min(by_chunk, key=lambda c: by_chunk[c])
    settings = {"torch.func.jacrev + svdvals": {"chunk": best_torch}}
    runs: dict[str, list[Run]] = {name: [] for name in IMPLEMENTATIONS}
    failed: dict[str, str] = {}
    ceilings = [matmul_ceiling()]
    for _ in range(repeats):
        for name in set_aside(failed):
            try:
                runs[name].append(Run(**in_a_process(folder, name, **settings.get(name, {}))))
                print(f"  {name}: {runs[name][-1].seconds:.3f} s", flush=True)
            except RuntimeError as error:
                failed[name] = str(error).strip().splitlines()[-1]
                print(f"  {name}: {failed[name]}", flush=True)
        ceilings.append(matmul_ceiling())
    ceiling = statistics.median(ceilings)
    runs = {name: runs[name] for name in set_aside(failed)}
    medians = {name: statistics.median(r.seconds for r in rs) for name, rs in runs.items()}
    pairs = {
        name: [a.seconds / b.seconds for a, b in zip(runs["Listing 1 (PyTorch)"], rs, strict=True)]
        for name, rs in runs.items()
    }
    share = SKETCH / encoder.embedding_size
    work = lambda name: flops * (share if IMPLEMENTATIONS[name] is sketched else 1)
    table = {
        name: {
            "seconds_an_image": round(medians[name], 4),
            "all_seconds": [round(r.seconds, 3) for r in rs],
            "times_faster_than_listing_1": round(statistics.median(pairs[name]), 3),
            "times_faster_range": [round(min(pairs[name]), 3), round(max(pairs[name]), 3)],
            "fraction_of_matmul_ceiling": round(work(name) / medians[name] / ceiling, 3),
            "peak_memory_over_rows": round(min(r.peak_bytes for r in rs) / rows_bytes, 3),
            "warm_up_seconds": round(statistics.median(r.warm_up_seconds for r in rs), 1),
            "score": rs[0].score,
        }
        for name, rs in runs.items()
    }
    return {
        "K": encoder.embedding_size,
        "D": side * side * 3,
        "gflop_an_image": round(flops / 1e9, 1),
        "rows_megabytes": round(rows_bytes / 1e6, 1),
        "matmul_ceiling_gflops": [round(c / 1e9, 1) for c in ceilings],
        "our_plan": dataclasses.asdict(plan),
        "torch_func_chunk": best_torch,
        "failed": failed,
        "implementations": table,
        "sweep_milliseconds_a_vjp": sweeps,
    }
