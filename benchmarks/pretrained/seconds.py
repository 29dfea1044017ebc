"""Seconds an image of every method on the encoder itself, in turn, beside Listing 1 in PyTorch."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.frontier import methods
from benchmarks.frontier.rivals import rivals
from benchmarks.frontier.wall_clock import apply, batches, compiled
from benchmarks.pretrained.recording import Recorded
from jepa_jax import Encoder, Exact, Lanczos, Scorer, Sketch
from jepa_jax.estimators.sketch.measurement import Measurement

LISTING_1 = ("Listing 1 (PyTorch)", "")
CLASSICAL = (Lanczos(10, 1), Lanczos(20, 1), Lanczos(20, 4))
# Cheaper than an exact score, or about as dear.
RIVALS = ("randomised SVD, top values", "Lanczos, Nystrom-preconditioned")


def listing1(folder: str, image: np.ndarray) -> float:
    """Seconds of Listing 1 of arXiv 2510.05949 on one preprocessed image (H, W, 3)."""
    import torch
    from transformers import Dinov2Model

    model = Dinov2Model.from_pretrained(folder).eval().requires_grad_(False)
    pixels = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
    embed = lambda x: model(pixel_values=x).last_hidden_state[:, 0]
    for _ in range(3):
        embed(pixels)
    began = time.perf_counter()
    jacobian = torch.autograd.functional.jacobian(lambda x: embed(x).sum(0), inputs=pixels)
    sigma = torch.linalg.svdvals(jacobian.flatten(2).permute(1, 0, 2))
    float(sigma.clip(1e-6).log().sum())
    return time.perf_counter() - began


def calibration_of(found: Recorded, counts: Sequence[int]) -> dict[int, Sketch]:
    """Sketches by so many cotangents, calibrated on all recorded images."""
    live = found.roots.shape[1] - found.nulls.shape[2]
    measured = Measurement(found.scores.astype(np.float32), found.roots, {})
    images = np.arange(len(found.ids))
    samples = methods.sample(measured, found.covariates, images, max(counts), 0, live)
    return {p: Sketch(samples.fit(p).calibration) for p in counts}


def clock(
    encoder: Encoder,
    folder: Path,
    image: np.ndarray,
    sketches: dict[int, Sketch],
    repeats: int,
    others: bool = True,
) -> dict[tuple[str, str], list[float]]:
    """Seconds of every method in each of `repeats` turns, by (name, setting); without `others`, of
    Listing 1, exact and the sketches.

    One process and one image at a time, as many threads as there are cores; Listing 1 in another
    process. What compiles is not counted.
    """
    chunk = Scorer(encoder, Exact(), devices=1).plan(*image.shape[:2]).chunk
    works: dict[tuple[str, str], tuple[Callable, object]] = {}

    def add(name: str, setting: str, score: Callable, argument: object = None) -> None:
        works[name, setting] = compiled(encoder, score, chunk), argument

    add("Exact", "", lambda j, key, _: Exact()(j, key))
    for p, sketch in sketches.items():
        add("Sketch", f"p = {p}", lambda j, key, e: e(j), sketch)
    for estimator in CLASSICAL if others else ():
        add("Lanczos", methods.settings_of(estimator), lambda j, key, _, e=estimator: e(j, key))
    for name, setting, _, score in rivals(next(iter(sketches.values())).calibration.rank):
        if others and name in RIVALS:
            add(name, setting, lambda j, key, _, score=score: score(j, key))
    parts = batches(image[None], 1)
    for batched, argument in works.values():
        apply(batched, encoder, argument, parts)

    found: dict[tuple[str, str], list[float]] = {LISTING_1: [], **{key: [] for key in works}}
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawned) as other:
        for turn in range(repeats):
            found[LISTING_1].append(other.submit(listing1, str(folder), image).result())
            for key, (batched, argument) in works.items():
                began = time.perf_counter()
                apply(batched, encoder, argument, parts)
                found[key].append(time.perf_counter() - began)
            listed = ", ".join(f"{seconds[-1]:.2f}" for seconds in found.values())
            print(f"  turn {turn + 1}: {listed} s", flush=True)
    return found
