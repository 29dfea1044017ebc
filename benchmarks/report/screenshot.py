"""The README's picture of a report, made from scratch.

Cuts photographs of scikit-image that are CC0 or in the public domain into a folder with classes,
puts what goes wrong in practice among them (copies, blank and noisy images, broken files), scores
it with the embedded encoder, writes the report and photographs its first screen in Chromium.
"""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from benchmarks.report.browser import photograph
from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.report.html import write_report

PHOTOS = {
    "people": ("astronaut", "camera"),
    "animals": ("chelsea", "horse"),
    "things": ("coffee", "rocket"),
    "sky": ("hubble_deep_field",),
    "medicine": ("retina", "cell"),
    "textures": ("brick", "grass", "gravel"),
}
CUTS = 14


def make_images(folder: Path) -> None:
    """The folder of classes, and what goes wrong among them."""
    import skimage.data

    rng = np.random.default_rng(0)
    for label, names in PHOTOS.items():
        (folder / label).mkdir(parents=True)
        for name in names:
            pixels = getattr(skimage.data, name)()
            pixels = 255 * pixels.astype(np.uint8) if pixels.dtype == bool else pixels
            photo = Image.fromarray(pixels).convert("RGB")
            photo.thumbnail((1000, 1000))
            photo.save(folder / label / f"{name}.jpg", quality=90)
            for i in range(CUTS):
                width, height = (int(rng.uniform(0.4, 0.8) * n) for n in photo.size)
                left = int(rng.integers(photo.width - width))
                top = int(rng.integers(photo.height - height))
                cut = photo.crop((left, top, left + width, top + height))
                cut.save(folder / label / f"{name}-{i:02d}.jpg", quality=int(rng.integers(60, 95)))
    cat = Image.open(folder / "animals" / "chelsea.jpg")
    cup = Image.open(folder / "things" / "coffee.jpg")
    cat.save(folder / "animals" / "IMG_0042.jpg", quality=70)
    cat.resize((300, 200)).save(folder / "people" / "IMG_0042 (small).jpg", quality=80)
    cup.save(folder / "things" / "coffee (copy).jpg", quality=75)
    cup.filter(ImageFilter.GaussianBlur(20)).save(folder / "things" / "out-of-focus.jpg")
    ImageOps.invert(cat).save(folder / "animals" / "negative.jpg")
    Image.new("RGB", (640, 480), "white").save(folder / "people" / "scan-blank.jpg")
    Image.new("RGB", (640, 480), "black").save(folder / "sky" / "lens-cap.jpg")
    noise = rng.integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(folder / "things" / "sensor-fault.png")
    data = (folder / "things" / "rocket.jpg").read_bytes()
    (folder / "things" / "half-uploaded.jpg").write_bytes(data[: len(data) // 3])
    (folder / "people" / "empty.jpg").write_bytes(b"")
    (folder / "sky" / "really-a-page.jpg").write_bytes(b"<!DOCTYPE html><h1>404</h1>")


def make(out: Path, keep: Path | None) -> None:
    """The picture as `out`; images, scores and report are kept in the folder `keep`, if given."""
    out = out.absolute()
    with tempfile.TemporaryDirectory() as temporary:
        work = keep or Path(temporary)
        work.mkdir(exist_ok=True)
        with contextlib.chdir(work):  # Short names in the picture.
            if not Path("photos").exists():
                make_images(Path("photos"))
            scorer = Scorer(load_encoder("embedded"), Exact())
            print(scorer.run("photos", "scores", store=("embedding", "image")).counts)
            print(write_report("scores", "report.html"))
            photograph(Path("report.html").absolute(), out)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")
