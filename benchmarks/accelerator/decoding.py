"""Images/s of files: decoded on the host, scored on the device, written. Does the device wait?"""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.accelerator.scores import SKETCH
from benchmarks.accelerator.subjects import SUBJECTS, images_of, write_folder
from benchmarks.shared.sketches import random_sketch
from jepa_jax import Scorer, load_encoder
from jepa_jax.data import Record, decode
from jepa_jax.scoring.cores import available_cores
from jepa_jax.scoring.rows import prepare
from jepa_jax.scoring.stream import ahead

BATCH = 32


def jpeg(index: int, width: int, height: int) -> bytes:
    """A JPEG of a camera's size: smooth shapes with some noise, which compresses like a photo."""
    rng = np.random.default_rng(index)
    coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = pixels + rng.normal(0, 4, pixels.shape).astype(np.int16)
    buffer = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


class Stream:
    """The same files again and again, under new ids, for so many seconds."""

    name = "JPEGs"

    def __init__(self, files: list[bytes], seconds: float):
        self.files, self.seconds = files, seconds

    def count(self) -> None:
        """Not known."""

    def __iter__(self) -> Iterator[Record]:
        end, i = time.monotonic() + self.seconds, 0
        while time.monotonic() < end:
            content = self.files[i % len(self.files)]
            yield Record(f"{i:07d}", self.name, lambda content=content: decode(content))
            i += 1


def rows(left: Callable[[], float], tiny: bool, folder: Path) -> Iterator[dict[str, Any]]:
    """Decoding and preprocessing by threads, the device alone, and both in a run."""
    size = (64, 48) if tiny else (2048, 1536)
    files = [jpeg(i, *size) for i in range(4 if tiny else 16)]
    mean_bytes = sum(map(len, files)) / len(files)
    yield {"what": "files", "pixels": list(size), "mean_bytes": mean_bytes}
    write_folder(folder / "encoder", SUBJECTS["small"], tiny)
    encoder = load_encoder(folder / "encoder")
    cotangents = min(SKETCH, encoder.embedding_size // 4)
    scorer = Scorer(
        encoder,
        random_sketch(encoder, cotangents),
        precision="bf16",
        batch_size=2 if tiny else BATCH,
        devices=1,
    )
    began = time.perf_counter()
    batch = images_of(encoder.image_size, scorer.plan(encoder.image_size, encoder.image_size).batch)
    scorer.score(batch)
    yield {"what": "compiled", "compile_seconds": time.perf_counter() - began}

    each = 0.3 if tiny else min(6.0, left() / 8)
    for count in [2] if tiny else threads():
        prepared = ahead(
            Stream(files, each),
            lambda record: prepare(record, encoder, views=1, seed=0),
            count,
            most=3 * count,
        )
        yield {"what": "decoding", "threads": count} | rate(prepared)
    yield {"what": "scoring"} | rate(_again(scorer, batch, each))
    for count in [2] if tiny else threads()[-2:]:
        times: list[float] = []
        scorer.run(
            Stream(files, each),
            folder / f"scores-{count}",
            workers=count,
            on_row=lambda row, times=times: times.append(time.perf_counter()),
        )
        yield {"what": "run", "threads": count} | _rate(times)


def threads() -> list[int]:
    """Numbers of threads that are worth a try on so many cores."""
    cores = len(available_cores())
    return sorted({1, max(1, cores // 2), cores, 2 * cores})


def _again(scorer: Scorer, batch: np.ndarray, seconds: float) -> Iterator[None]:
    """One item an image that the device has scored, for so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        scorer.score(batch)
        yield from [None] * len(batch)


def rate(items: Iterable[Any]) -> dict[str, float]:
    """Items a second at steady state."""
    return _rate([time.perf_counter() for _ in items])


def _rate(times: list[float]) -> dict[str, float]:
    """Of what was done at these times: from a fifth of them on, when all is under way."""
    first = len(times) // 5
    seconds = times[-1] - times[first] if times else 0.0
    count = len(times) - 1 - first
    return {"images": len(times), "images_a_second": count / seconds if seconds else float("nan")}
