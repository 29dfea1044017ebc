"""The programs of `small`, `large` and `huge` compiled for an H100 that is not there.

    pip install 'jax-cuda13-plugin[with-cuda]'      # 4 GB
    python -m benchmarks.accelerator.deviceless [--only small,large,huge] [--devices 4]
        [--out FOLDER]

What the compiler says without a device: that every program compiles, the memory that it plans, the
precision of its products, and that several devices exchange nothing. No time is measured, and what
XLA would try out on the device (Triton's products) is off. Writes deviceless.json and .md.
"""

import argparse
import dataclasses
import os
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.shared.results import folder_of, write
from benchmarks.shared.tables import table

# What a compiler knows of a device (XLA's GpuTargetConfig), from NVIDIA's data sheet of the H100
# SXM5 80 GB and CUDA's limits of compute capability 9.0.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 85028765696
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
runtime_version { major: 13 minor: 0 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
_COLLECTIVES = r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)\S*\("
# A library's product; the types of its operands are in their own definitions.
_PRODUCT = re.compile(
    r"= (?P<result>.*?) custom-call\((?P<operands>.*?)\).*__cublas\$(lt\$)?matmul"
)


@dataclasses.dataclass(frozen=True)
class Described:
    """As much of a device as a plan asks for."""

    platform: str = "gpu"
    device_kind: str = "NVIDIA H100 80GB HBM3"
    bytes_limit: int = 75 << 30

    def memory_stats(self) -> dict[str, int]:
        """Its memory."""
        return {"bytes_limit": self.bytes_limit}


def compile_for(topology, scorer, plan, side: int, precision):
    """A scorer's program for a topology's devices, a batch of the plan's on each."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from jepa_jax.scoring.keys import keys_of
    from jepa_jax.scoring.numerics import numerics

    mesh = Mesh(np.array(topology.devices), ("batch",))
    count = plan.batch * len(topology.devices)

    def there(tree, *spec):
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        return jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree
        )

    fitted = None if jax.tree_util.all_leaves([scorer.estimator]) else scorer.estimator
    images = jax.ShapeDtypeStruct((count, side, side, 3), np.float32)
    keys = jax.eval_shape(lambda: keys_of(0, [""] * count))
    cut = jax.shard_map(
        lambda *given: scorer._estimate(*given, plan.chunk),
        mesh=mesh,
        in_specs=(*(PartitionSpec(),) * 2, *(PartitionSpec("batch"),) * 2),
        out_specs=PartitionSpec("batch"),
        check_vma=False,
    )
    with numerics(precision):
        given = there(scorer.encoder.state), there(fitted), there(images, "batch")
        return jax.jit(cut).trace(*given, there(keys, "batch")).lower().compile()


def facts(compiled) -> dict[str, Any]:
    """What the compiled program says of itself."""
    text = compiled.as_text()
    types = dict(re.findall(r"%([\w.-]+) = \(?(\w+)\[", text))
    products: Counter[str] = Counter()
    for found in _PRODUCT.finditer(text):
        operands = re.findall(r"%([\w.-]+)", found["operands"])[:2]
        # By the operands' types; computed so often as the loops that they are in run.
        kinds = {types.get(name, "?") for name in operands}
        products["x".join(sorted(kinds))] += 1
    memory = compiled.memory_analysis()
    return {
        "temporary_megabytes": memory.temp_size_in_bytes / 1e6,
        "arguments_megabytes": memory.argument_size_in_bytes / 1e6,
        "products": dict(products),
        "other_products": len(re.findall(r" dot\(", text)) + text.count("__triton_gemm"),
        "collectives": len(re.findall(_COLLECTIVES, text)),
    }


def rows(parts: list[str], devices: int):
    """A row of every program."""
    from jax.experimental import topologies

    from benchmarks.accelerator.scores import programs, scorer_of
    from benchmarks.accelerator.subjects import SUBJECTS, encoder_of
    from jepa_jax.scoring import batch_sizes

    described = Described()
    # The plans are those of the device that is not there.
    batch_sizes.default_device = lambda: described
    topology = {
        count: topologies.get_topology_desc(
            "h100", "cuda", target_config=H100, topology=f"1x1x{count}"
        )
        for count in {1, devices}
    }
    for part in parts:
        subject = SUBJECTS[part]
        encoder = encoder_of(subject, tiny=False)
        asked = programs(part, encoder.embedding_size, tiny=False)
        for count, program in [*((1, p) for p in asked), (devices, asked[0])]:
            scorer = scorer_of(encoder, program)
            plan = batch_sizes.plan_for(
                encoder, subject.side, subject.side, program.batch, scorer.estimator
            )
            row = {
                "encoder": subject.name,
                "method": program.method,
                "precision": program.precision,
                "devices": count,
                "batch": plan.batch,
                "chunk": plan.chunk,
            }
            began = time.perf_counter()
            try:
                compiled = compile_for(
                    topology[count], scorer, plan, subject.side, program.precision
                )
            except Exception as error:  # Whatever the compiler says is the result.
                row["failed"] = str(error).strip().splitlines()[0][:200]
            else:
                row |= facts(compiled) | {"compile_seconds": time.perf_counter() - began}
            print(row, flush=True)
            yield row


def page(found: list[dict[str, Any]]) -> str:
    """The result as Markdown."""
    header = [("encoder", 0), ("method", 0), ("products", 0), ("devices", 0), ("batch", 0)]
    header += [("chunk", 0), ("library products, by operands", 0), ("others", 0)]
    header += [("collectives", 0), ("temporary, MB a device", 0), ("failed", 0)]
    lines = []
    for r in found:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(r.get("products", {}).items()))
        lines.append([r["encoder"], r["method"], r["precision"], r["devices"], r["batch"]])
        lines[-1] += [r["chunk"], kinds, r.get("other_products"), r.get("collectives")]
        lines[-1] += [r.get("temporary_megabytes"), r.get("failed")]
    return "\n\n".join(
        (
            "# Programs compiled for an H100 that is not there",
            "What XLA's compiler says of every program of the benchmark, without a device: its "
            "products by cuBLASLt and the types of their operands (counted once, however often "
            "a loop runs them; TF32's operands are float32's), those that it makes itself, the "
            "exchange between devices, and the memory that it plans beside the arguments. Triton's "
            "products, which are tried out on a device, are off: no time follows from this.",
            table(header, lines),
        )
    )


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.accelerator.deviceless", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--only", default="small,large,huge", help="parts, with commas between")
    parser.add_argument("--devices", type=int, default=4, help="of the program for several")
    parser.add_argument(
        "--out", type=Path, default=folder_of("benchmarks.accelerator"), help="a folder"
    )
    args = parser.parse_args(arguments)

    os.environ["JAX_PLATFORMS"] = "cpu"
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_enable_triton_gemm=false".strip()
    found = list(rows(args.only.split(","), args.devices))
    shown = page(found)
    command = (
        f"python -m benchmarks.accelerator.deviceless --only {args.only} --devices {args.devices}"
    )
    write(args.out, "deviceless", command, {"target": H100, "rows": found}, shown)
    print(shown)


if __name__ == "__main__":
    main()
