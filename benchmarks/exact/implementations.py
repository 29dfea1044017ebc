"""The implementations that are compared, each to be run in a process of its own."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.shared.processes import peak_bytes

ROOT = Path(__file__).parents[2]
SWEEP_ROWS = 32
SKETCH = 32


@dataclasses.dataclass(frozen=True)
class Run:
    """What one process measured."""

    seconds: float  # Of one score, after what compiles or warms up.
    warm_up_seconds: float
    peak_bytes: int  # Of the process, beyond what it held with weights loaded.
    score: float


def image_of(folder: Path) -> np.ndarray:
    """One preprocessed image, (H, W, 3), the same for everyone."""
    side = json.loads((folder / "config.json").read_text())["image_size"]
    return np.random.default_rng(0).standard_normal((side, side, 3)).astype(np.float32)


def torch_embedding(folder: Path):
    """(embedding of a batch, image batch) in PyTorch, on the accelerator if there is one."""
    import torch
    from transformers import Dinov2Model

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Dinov2Model.from_pretrained(folder).eval().requires_grad_(False).to(device)
    pixels = torch.from_numpy(image_of(folder).transpose(2, 0, 1)[None].copy()).to(device)
    return lambda x: model(pixel_values=x).last_hidden_state[:, 0], pixels


def listing1(folder: Path) -> Run:
    """Listing 1 of arXiv 2510.05949, its null directions left out of the sum."""
    import torch

    embed, pixels = torch_embedding(folder)

    def score() -> float:
        jacobian = torch.autograd.functional.jacobian(lambda x: embed(x).sum(0), inputs=pixels)
        sigma = torch.linalg.svdvals(jacobian.flatten(2).permute(1, 0, 2))
        return float(sigma[0, :-2].double().log().sum())

    # Nothing compiles here: a few forward passes are warm-up enough.
    return measure(score, lambda: [embed(pixels) for _ in range(5)])


def listing1_a_core(folder: Path) -> Run:
    """Listing 1 in as many processes as there are cores, one core each, at the same time."""
    from jepa_jax.scoring.cores import available_cores

    started = [start(folder, "Listing 1 (PyTorch)", core=core) for core in available_cores()]
    runs = [Run(**answer(process, "Listing 1")) for process in started]
    seconds = sum(run.seconds for run in runs) / len(runs) ** 2
    peak = sum(run.peak_bytes for run in runs)
    return Run(seconds, max(run.warm_up_seconds for run in runs), peak, runs[0].score)


def torch_func(folder: Path, chunk: int) -> Run:
    """`torch.func.jacrev` in chunks, and `svdvals`."""
    import torch

    embed, pixels = torch_embedding(folder)
    jacrev = torch.func.jacrev(lambda x: embed(x[None])[0], chunk_size=chunk)

    def score() -> float:
        sigma = torch.linalg.svdvals(jacrev(pixels[0]).flatten(1))
        return float(sigma[:-2].double().log().sum())

    return measure(score, lambda: [embed(pixels) for _ in range(5)])


def ours(folder: Path, factor: str) -> Run:
    """Our scorer by its own plan; with factor "svd", `jax.jacrev` + SVD of the K x D matrix."""
    from jepa_jax import Exact, Scorer, load_encoder

    scorer = Scorer(load_encoder(folder), Exact(factor=factor), devices=1)
    images = image_of(folder)[None].repeat(scorer.plan(*image_of(folder).shape[:2]).batch, 0)

    def score() -> float:
        return float(scorer.score(images).jepa_score[0])

    run = measure(score, score)
    return dataclasses.replace(run, seconds=run.seconds / len(images))


def ours_a_core(folder: Path) -> Run:
    """Our scorer in a worker process a core; memory is not measured."""
    from jepa_jax import Exact, Scorer, load_encoder
    from jepa_jax.scoring.cores import available_cores

    count = len(available_cores())
    scorer = Scorer(load_encoder(folder), Exact(), processes=count)
    plan = scorer.plan(*image_of(folder).shape[:2])
    images = image_of(folder)[None].repeat(count * plan.batch, 0)

    def score() -> float:
        return float(scorer.score(images).jepa_score[0])

    run = measure(score, score)
    scorer.close()
    return dataclasses.replace(run, seconds=run.seconds / len(images), peak_bytes=0)


def sketched(folder: Path) -> Run:
    """A sketch of SKETCH cotangents with all covariates: its time alone means something."""
    from benchmarks.shared.sketches import random_sketch
    from jepa_jax import Scorer, load_encoder

    encoder = load_encoder(folder)
    image = image_of(folder)
    scorer = Scorer(encoder, random_sketch(encoder, SKETCH), devices=1)
    images = image[None].repeat(scorer.plan(*image.shape[:2]).batch, 0)

    def score() -> float:
        return float(scorer.score(images).jepa_score[0])

    run = measure(score, score)
    return dataclasses.replace(run, seconds=run.seconds / len(images))


def torch_rows(folder: Path, chunk: int, batch: int) -> float:
    """Seconds a VJP of `torch.func.vjp` under `vmap` over `chunk` cotangents."""
    import torch

    if batch != 1:
        raise ValueError(f"one image at a time, got {batch}")
    embed, pixels = torch_embedding(folder)
    value, pull = torch.func.vjp(lambda x: embed(x[None])[0], pixels[0])
    cotangents = torch.eye(len(value), device=value.device)[:SWEEP_ROWS]

    def rows() -> None:
        for part in cotangents.split(chunk):
            torch.func.vmap(pull)(part)
        if value.device.type == "cuda":
            torch.cuda.synchronize()

    return _best_of(rows) / SWEEP_ROWS


def our_rows(folder: Path, chunk: int, batch: int) -> float:
    """Seconds a VJP of `Jacobian.rows` for `batch` images at once, the primal pass included."""
    import jax
    import jax.numpy as jnp

    from jepa_jax import jacobian, load_encoder

    encoder = load_encoder(folder)
    images = jnp.stack([image_of(folder)] * batch)
    cotangents = jnp.eye(encoder.embedding_size)[:SWEEP_ROWS]

    def of_one(state, image):
        operator = jacobian(
            lambda u: encoder.embed_coordinates(state, u),
            encoder.coordinates(state, image),
            chunk=chunk,
        )
        return operator.rows(cotangents)

    with jax.default_matmul_precision("highest"):
        rows = jax.jit(
            jax.vmap(of_one, (None, 0))
            if batch > 1
            else lambda state, images: of_one(state, images[0])
        )
        return _best_of(lambda: rows(encoder.state, images).block_until_ready()) / (
            SWEEP_ROWS * batch
        )


def _best_of(work: Callable[[], object], count: int = 3) -> float:
    """The least of `count` times, after a first one that does not count."""
    work()
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measure(score: Callable[[], float], warm_up: Callable[[], object]) -> Run:
    """Times one `score` after `warm_up`."""
    before = _peak()
    began = time.perf_counter()
    warm_up()
    middle = time.perf_counter()
    value = score()
    end = time.perf_counter()
    return Run(end - middle, middle - began, _peak() - before, value)


def _peak() -> int:
    """The process's largest resident memory so far, or the accelerator's."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        return sys.modules["torch"].cuda.max_memory_allocated()
    import jax

    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats:
        return stats["peak_bytes_in_use"]
    return peak_bytes()


IMPLEMENTATIONS: dict[str, Callable[..., Run]] = {
    "Listing 1 (PyTorch)": listing1,
    "Listing 1, a process a core": listing1_a_core,
    "torch.func.jacrev + svdvals": torch_func,
    "jax.jacrev + SVD": lambda folder: ours(folder, "svd"),
    "jepa_jax, one process": lambda folder: ours(folder, "auto"),
    "jepa_jax, a process a core": ours_a_core,
    "jepa_jax, one process, sketch of 32 VJPs": sketched,
}
SWEEPS = {"torch.func.vjp": torch_rows, "jepa_jax": our_rows}


def start(folder: Path, task: str, core: int | None = None, **settings) -> subprocess.Popen:
    """One of IMPLEMENTATIONS or SWEEPS in a process of its own, on one core if given."""
    argument = json.dumps([str(folder), task, core, settings])
    command = [sys.executable, "-m", "benchmarks.exact.implementations", argument]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, cwd=ROOT, **pipes)


def answer(process: subprocess.Popen, task: str):
    """What a process that was started returns, as JSON."""
    output, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{task} failed:\n{errors[-2000:]}")
    return json.loads(output.splitlines()[-1])


def in_a_process(folder: Path, task: str, **settings):
    """What one of IMPLEMENTATIONS or SWEEPS returns."""
    return answer(start(folder, task, **settings), task)


def main(argument: str) -> None:
    """The other side of `start`."""
    folder, task, core, settings = json.loads(argument)
    if core is not None:
        os.sched_setaffinity(0, [core])
    if task.startswith("sweep "):
        print(json.dumps(SWEEPS[task.removeprefix("sweep ")](Path(folder), **settings)))
    else:
        print(json.dumps(dataclasses.asdict(IMPLEMENTATIONS[task](Path(folder), **settings))))


if __name__ == "__main__":
    main(sys.argv[1])
