"""Originals, their copies, and which of these are found."""

import io
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import imagehash
import jax
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.pretrained.images import stamps_in
from benchmarks.shared.package_images import digit_images
from benchmarks.shared.tables import table
from jepa_jax import Encoder, load_encoder
from jepa_jax.data.image_facts import image_facts
from jepa_jax.report.near_duplicates import default_threshold
from jepa_jax.report.perceptual_hashes import MOST_BITS, differing_bits, hash_words

_PHOTOGRAPHS = (
    *("astronaut", "camera", "chelsea", "coffee", "rocket", "moon", "coins", "retina", "brick"),
    *("grass", "gravel", "hubble_deep_field", "clock", "immunohistochemistry", "cell", "page"),
    *("text", "microaneurysms", "horse"),
)
_STAMPS = ("animals", "food", "plants")
_BATCH, _DIGITS, _CROP_RESISTANT = 16, 1000, 40
_Copy = Callable[[Image.Image, np.random.Generator], Image.Image]


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _brightness(factor: float) -> _Copy:
    return lambda image, rng: ImageEnhance.Brightness(image).enhance(factor)


def _crop(share: float) -> _Copy:
    """This share of both sides, at a random place."""

    def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = (max(1, round(share * side)) for side in image.size)
        left = int(rng.integers(image.width - width + 1))
        top = int(rng.integers(image.height - height + 1))
        return image.crop((left, top, left + width, top + height))

    return crop


KINDS: dict[str, _Copy] = {
    "JPEG of quality 30": lambda image, rng: _jpeg(image, 30),
    "half the size": lambda image, rng: image.resize([max(1, n // 2) for n in image.size]),
    "1.2 times as bright": _brightness(1.2),
    ".7 times as bright": _brightness(0.7),
    "grey": lambda image, rng: image.convert("L").convert("RGB"),
    "mirrored": lambda image, rng: ImageOps.mirror(image),
    "upside down": lambda image, rng: ImageOps.flip(image),
    "turned by 180°": lambda image, rng: image.rotate(180),
    "turned by 90°": lambda image, rng: image.rotate(90, expand=True),
    "crop of 95 %": _crop(0.95),
    "crop of 90 %": _crop(0.9),
    "crop of 80 %": _crop(0.8),
    "crop of 60 %": _crop(0.6),
}


def originals(stamps: Path | None) -> list[Image.Image]:
    """Different pictures, of at most 1,000 pixels a side."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    found = []
    for name in _PHOTOGRAPHS:
        pixels = np.asarray(getattr(skimage.data, name)())
        found.append(255 * pixels.astype(np.uint8) if pixels.dtype == bool else pixels)
    found += [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    images = [Image.fromarray(pixels).convert("RGB") for pixels in found]
    if stamps is not None:
        records = stamps_in(stamps, "", _STAMPS)
        images += [r.load().convert("RGB") for r in records if "cartoon" not in r.id]
    for image in images:
        image.thumbnail((1000, 1000))
    return images


def run(name: str, side: int | None, stamps: Path | None) -> dict:
    """The figures by one encoder."""
    images = originals(stamps)
    encoder = load_encoder(name) if side is None else load_encoder(name, image_size=side)
    own, begin = _embeddings(encoder, images), time.process_time()
    words = _words(images)
    seconds = time.process_time() - begin
    threshold = default_threshold(own)
    unit = own / np.linalg.norm(own, axis=1, keepdims=True)
    a, b = np.triu_indices(len(images), 1)
    alike, copied = (unit[a] * unit[b]).sum(1) >= threshold, _copied(words[a], words[b])
    rng = np.random.default_rng(0)
    kinds = {}
    for kind, make in KINDS.items():
        made = [make(image, rng) for image in images]
        other = _embeddings(encoder, made)
        cosines = (unit * other).sum(1) / np.linalg.norm(other, axis=1)
        near, same = cosines >= threshold, _copied(words, _words(made))
        kinds[kind] = {
            "embedding": float(near.mean()),
            "hash": float(same.mean()),
            "either": float((near | same).mean()),
            "cosine": np.quantile(cosines, [0.1, 0.5, 0.9]).tolist(),
        }
    digits = _words(digit_images("held out")[0][:_DIGITS])
    i, j = np.triu_indices(len(digits), 1)
    return {
        "encoder": "embedded" if name == "embedded" else "a checkpoint",
        "image_size": encoder.image_size,
        "originals": len(images),
        "threshold": threshold,
        "most_bits": MOST_BITS,
        "hash_ms": 1e3 * seconds / len(images),
        "false": {
            "pairs": len(a),
            "embedding": int(alike.sum()),
            "hash": int(copied.sum()),
            "digits": {"pairs": len(i), "hash": int(_copied(digits[i], digits[j]).sum())},
        },
        "kinds": kinds,
        "crop_resistant": _crop_resistant(images),
    }


def _embeddings(encoder: Encoder, images: Sequence[Image.Image]) -> np.ndarray:
    embed = jax.jit(jax.vmap(encoder.embed, (None, 0)))
    found = []
    for start in range(0, len(images), _BATCH):
        some = images[start : start + _BATCH]
        inputs = np.stack([encoder.preprocess(image) for image in some])
        whole = np.resize(inputs, (_BATCH, *inputs.shape[1:]))  # One shape is compiled.
        found.append(np.asarray(embed(encoder.state, whole), np.float64)[: len(some)])
    return np.concatenate(found)


def _words(images: Sequence[Image.Image]) -> np.ndarray:
    """The hashes as words; every image is to have one."""
    rows, words = hash_words([image_facts(image)["perceptual_hash"] for image in images])
    assert len(rows) == len(images)
    return words


def _copied(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return differing_bits(a, b).min(1) <= MOST_BITS


def _crop_resistant(images: Sequence[Image.Image]) -> dict:
    """imagehash's hashes of segments at their default settings, of some of the images."""
    some = images[:: max(1, len(images) // _CROP_RESISTANT)][:_CROP_RESISTANT]
    rng = np.random.default_rng(0)
    begin = time.process_time()
    own = [imagehash.crop_resistant_hash(image) for image in some]
    seconds = time.process_time() - begin
    recall = {}
    for kind in (kind for kind in KINDS if kind.startswith("crop")):
        cut = [imagehash.crop_resistant_hash(KINDS[kind](image, rng)) for image in some]
        recall[kind] = float(np.mean([a.matches(b) for a, b in zip(own, cut, strict=True)]))
    pairs = list(itertools.combinations(own, 2))
    return {
        "originals": len(some),
        "recall": recall,
        "false": sum(a.matches(b) for a, b in pairs),
        "pairs": len(pairs),
        "ms": 1e3 * seconds / len(some),
    }


def page(found: dict) -> str:
    """The tables."""
    false, crops = found["false"], found["crop_resistant"]
    percent = lambda share: f"{100 * share:.0f}"
    rows = [
        [
            kind,
            *(percent(values[way]) for way in ("embedding", "hash", "either")),
            " to ".join(f"{values['cosine'][i]:.3f}" for i in (0, 2)),
        ]
        for kind, values in found["kinds"].items()
    ]
    return "\n".join(
        [
            f"# Copies of {found['originals']} pictures, by {found['encoder']} at "
            f"{found['image_size']} pixels",
            "",
            f"Found, in per cent: by a cosine of {found['threshold']:g} or more, by hashes that "
            f"differ in at most {found['most_bits']} of 256 bits, by either; and the cosines of "
            "the middle 80 %.",
            "",
            table(["copy", "embedding", "hash", "either", "cosine"], rows),
            "",
            f"False pairs among {false['pairs']:,} of different originals: {false['embedding']} "
            f"by the embedding, {false['hash']} by the hash; among {false['digits']['pairs']:,} of "
            f"MNIST digits {false['digits']['hash']} by the hash. A hash with the other facts of "
            f"an image takes {found['hash_ms']:.1f} ms of a core.",
            "",
            f"imagehash's crop-resistant hash, of {crops['originals']} of them: "
            + ", ".join(f"{kind} {percent(share)}" for kind, share in crops["recall"].items())
            + f"; {crops['false']} false pairs among {crops['pairs']}; {crops['ms']:.0f} ms.",
        ]
    )
