"""The same encoder and images in PyTorch: the paper's Listing 1, and the best made of it.

`torch.func.jacrev` in chunks and the Gram matrix's eigenvalues, in float32, TF32 and under bfloat16
autocast, eager and through `torch.compile`; and, since that may refuse `torch.func`, compiled
forward and backward passes of as many copies of the image as there are cotangents in a chunk.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.accelerator.subjects import SUBJECTS, images_of, write_folder
from benchmarks.accelerator.timing import error_of, seconds_of


def rows(left: Callable[[], float], tiny: bool, folder: Path) -> Iterator[dict[str, Any]]:
    """A row of every implementation, in the order of what they tell."""
    try:
        import torch
    except ImportError:
        yield {"what": "PyTorch", "skipped": "not installed"}
        return
    if not torch.cuda.is_available() and not tiny:
        yield {"what": "PyTorch", "skipped": "this build has no CUDA"}
        return
    subject = SUBJECTS["small"]
    side = write_folder(folder, subject, tiny)
    pixels = images_of(side, 1).transpose(0, 3, 1, 2).copy()
    yield {"what": "PyTorch", "version": torch.__version__}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for label, precision, make in implementations(folder, device, tiny):
        row = {"what": "score", "encoder": subject.name, "method": label, "precision": precision}
        if left() < 5 and not tiny:
            return
        try:
            torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            score = make(torch.from_numpy(pixels).to(device))
            row |= seconds_of(score, left)
            row["scores"] = [score()]
            if device == "cuda":
                row["planned_bytes"] = torch.cuda.max_memory_allocated()
        except Exception as error:
            row["failed"] = error_of(error)
        yield {"batch": 1} | row


def implementations(folder: Path, device: str, tiny: bool):
    """(name, precision, pixels -> (-> the score)) of each."""
    import torch
    from transformers import Dinov2Model

    def load(attention: str):
        model = Dinov2Model.from_pretrained(folder, attn_implementation=attention)
        return model.eval().requires_grad_(False).to(device)

    # Fused attention has no batching rule for its backward pass: under `vmap` it is a slow loop.
    fused, eager = load("sdpa"), load("eager")
    k = fused.config.hidden_size

    def embed(x, low: bool = False, model=fused):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=low):
            return model(pixel_values=x).last_hidden_state[:, 0].float()

    def of_rows(rows) -> float:
        """The score from the K x D rows, by their Gram matrix in float64."""
        rows = rows.flatten(1).double()
        values = torch.linalg.eigvalsh(rows @ rows.T)
        return float(values[2:].clamp(min=1e-300).log().sum() / 2)

    def listing1(x):
        def score() -> float:
            rows = torch.autograd.functional.jacobian(lambda x: embed(x).sum(0), x)
            sigma = torch.linalg.svdvals(rows.flatten(2).permute(1, 0, 2))
            return float(sigma[0, :-2].double().log().sum())

        return score

    def jacrev(chunk: int, low: bool = False, compiled: bool = False):
        def make(x):
            rows = torch.func.jacrev(lambda x: embed(x[None], low, eager)[0], chunk_size=chunk)
            if compiled:
                rows = torch.compile(rows)
            return lambda: of_rows(rows(x[0]))

        return make

    def copies(chunk: int, low: bool):
        def make(x):
            run = torch.compile(lambda x: embed(x, low))

            def score() -> float:
                parts = []
                for cotangents in torch.eye(k, device=device).split(chunk):
                    inputs = x.expand(len(cotangents), -1, -1, -1).clone().requires_grad_()
                    parts.append(torch.autograd.grad(run(inputs), inputs, cotangents)[0])
                return of_rows(torch.cat(parts))

            return score

        return make

    fourth, twelfth = max(1, k // 4), max(1, k // 12)
    yield "PyTorch, Listing 1", "float32", listing1
    yield "PyTorch, jacrev", "float32", jacrev(fourth)
    yield "PyTorch, jacrev", "bf16 autocast", jacrev(fourth, low=True)
    if tiny:  # What compiles takes a compiler, and longer than all the rest.
        return
    yield "PyTorch, jacrev, compiled", "bf16 autocast", jacrev(fourth, True, True)
    yield "PyTorch, copies, compiled", "bf16 autocast", copies(fourth, True)
    yield "PyTorch, jacrev", "tf32", jacrev(fourth)
    yield f"PyTorch, jacrev, chunks of {twelfth}", "bf16 autocast", jacrev(twelfth, low=True)
    yield f"PyTorch, jacrev, chunks of {k}", "bf16 autocast", jacrev(k, low=True)
    yield "PyTorch, jacrev, compiled", "float32", jacrev(fourth, False, True)
