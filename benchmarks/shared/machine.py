"""The machine and the libraries that a figure was measured with, without names."""

import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

# What matrix products of a CPU hinge on: vectors, fused multiply-add, low precision.
INSTRUCTION_SETS = (
    "avx avx2 fma f16c avx512f avx512bw avx512_vnni avx512_bf16 avx512_fp16 avx_vnni amx_tile "
    "amx_bf16 amx_int8 amx_fp16 asimd asimddp fphp sve sve2 bf16 i8mm sme"
).split()
LIBRARIES = ("jax", "numpy", "scipy", "scikit-learn")


def machine() -> dict:
    """The CPU, the cores that this process may use, and JAX's device where JAX is imported."""
    model, flags = _cpu()
    found = {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _count(),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in flags],
    }
    if "jax" in sys.modules:
        device = sys.modules["jax"].devices()[0]
        found["device"] = f"{device.platform}: {device.device_kind}"
    return found


def versions(*names: str) -> dict[str, str]:
    """Of the interpreter, of `LIBRARIES` and of other libraries."""
    found = {name: version(name) for name in dict.fromkeys((*LIBRARIES, *names))}
    return {"python": platform.python_version()} | found


def _count() -> int:
    return os.cpu_count() or 1


def _cpu() -> tuple[str, set[str]]:
    """Model and instruction sets, where the system says them."""
    model, flags = platform.processor() or platform.machine(), set[str]()
    for name, value in _lines(Path("/proc/cpuinfo")):
        if name == "model name":
            model = value
        if name in ("flags", "Features"):
            flags |= set(value.split())
    return model, flags


def _lines(path: Path) -> Iterable[tuple[str, str]]:
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()
